"""A local path with workers elsewhere is refused, also by --dry-run; an image may be missing."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import runners
from rejoinder.pipelines.job.engines import placement

DATAFLOW = ["--runner", "DataflowRunner", "--project=p", "--region=europe-west4", "--no_auth"]
DATAFLOW += ["--temp_location=gs://bucket/temp"]


def place(name: str, *arguments: str) -> str:
    return placement.workers_place(runners.choose(name, 1, arguments))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("", []),
        ("PrismRunner", []),
        ("PrismRunner", ["--environment_type=LOOPBACK"]),
        ("PrismRunner", ["--environment_type=EXTERNAL", "--environment_config=localhost:50000"]),
        ("PrismRunner", ["--environment_type=PROCESS"]),
        ("PortableRunner", ["--job_endpoint=host:1", "--environment_type=LOOPBACK"]),
        ("PortableRunner", ["--job_endpoint=localhost:1", "--environment_type=PROCESS"]),
        ("PortableRunner", ["--job_endpoint=embed", "--environment_type=PROCESS"]),
        ("FlinkRunner", []),
        ("SparkRunner", []),
        ("DaskRunner", []),
    ],
)
def test_workers_that_read_this_machines_disks(name, arguments):
    assert place(name, *arguments) == ""


@pytest.mark.parametrize(
    ("name", "arguments", "where"),
    [
        ("DataflowRunner", [], placement.GOOGLES_MACHINES),
        ("PrismRunner", ["--environment_type=DOCKER"], placement.IN_CONTAINERS),
        ("PortableRunner", ["--job_endpoint=localhost:1"], placement.IN_CONTAINERS),
        ("FlinkRunner", ["--flink_master=host:8081"], placement.IN_CONTAINERS),
        ("SparkRunner", ["--spark_master_url=spark://host:7077"], placement.IN_CONTAINERS),
        (
            "PortableRunner",
            ["--job_endpoint=h:1", "--environment_type=EXTERNAL", "--environment_config=w:50000"],
            placement.OTHER_MACHINES,
        ),
        (
            "PortableRunner",
            ["--job_endpoint=host:1", "--environment_type=PROCESS"],
            placement.OTHER_MACHINES,
        ),
        (
            "FlinkRunner",
            ["--flink_master=host:8081", "--environment_type=PROCESS"],
            placement.OTHER_MACHINES,
        ),
    ],
)
def test_workers_that_do_not(name, arguments, where):
    assert place(name, *arguments) == where


@pytest.mark.parametrize("option", ["--input", "--output", "--tokenizer"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_local_path_is_refused_and_named(option, dry_run, dumps, tmp_path, monkeypatch):
    from rejoinder.pipelines import preprocess
    from rejoinder.pipelines.dumps import input_files
    from rejoinder.storage import FileEntry

    here = {
        "--input": str(dumps / "RC_0"),
        "--output": str(tmp_path / "out"),
        "--tokenizer": str(dumps / "tokenizer"),
    }
    given = {"--input": "gs://bucket/RC_0", "--output": "gs://bucket/out", "--tokenizer": "a/name"}
    given[option] = here[option]
    expand = lambda paths, *_, **__: [FileEntry(path, 100) for path in paths]  # noqa: E731
    monkeypatch.setattr(input_files, "expand", expand)
    arguments = [argument for pair in given.items() for argument in pair]
    with pytest.raises(UserError) as caught:
        preprocess.main([*arguments, *DATAFLOW, *["--dry-run"] * dry_run])
    assert str(caught.value).startswith(f"{option} {here[option]}: is on a disk of this machine")


def test_a_disk_that_machines_share_is_accepted_except_in_containers(monkeypatch):
    monkeypatch.setattr(placement, "on_shared_disk", lambda path: path.startswith("/shared"))
    given = ["--job_endpoint=h:1", "--environment_type=EXTERNAL", "--environment_config=w:50000"]
    external = runners.choose("PortableRunner", 1, given)
    placement.check_paths(external, [("--input", "/shared/RC_1")])
    with pytest.raises(UserError, match="--input /home/RC_1: is on a disk of this machine"):
        placement.check_paths(external, [("--input", "/home/RC_1")])
    docker = runners.choose("PortableRunner", 1, ["--job_endpoint=h:1"])
    with pytest.raises(UserError, match="in containers"):
        placement.check_paths(docker, [("--input", "/shared/RC_1")])


@pytest.mark.parametrize(
    ("kind", "shared"), [("nfs4", True), ("fuse.gcsfuse", True), ("ext4", False)]
)
def test_a_shared_disk_is_known_by_its_file_system(kind, shared, monkeypatch):
    table = f"/dev/a / overlay rw 0 0\nserver:/x /data {kind} rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    monkeypatch.setattr(placement.Path, "read_text", lambda self, **_: table)
    assert placement.on_shared_disk("/data/dumps/RC_1") is shared
    assert not placement.on_shared_disk("/database/RC_1")


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ([], True),
        (["--sdk_container_image=image"], False),
        (["--requirements_file=requirements.txt"], False),
    ],
)
def test_dataflow_without_an_image_is_a_warning(arguments, warned):
    warning = placement.image_warning(runners.choose("DataflowRunner", 1, arguments))
    assert (warning is not None) is warned
    if warning:
        assert warning.startswith("warning: --sdk_container_image is missing: ")


def test_no_other_runner_needs_dataflows_image():
    assert placement.image_warning(runners.choose("PrismRunner", 1, [])) is None


@pytest.mark.e2e  # it imports TensorFlow
def test_embed_refuses_local_paths_too(tmp_path):
    from rejoinder.retrieval import embed

    (tmp_path / "x.jsonl").write_text('{"text": "a text"}\n')
    given = ["--input", str(tmp_path / "x.jsonl"), "--output", "gs://bucket/out"]
    given += ["--model", "a/name", "--field", "text"]
    with pytest.raises(UserError, match=r"^--input .*x\.jsonl: is on a disk of this machine"):
        embed.main([*given, *DATAFLOW])
