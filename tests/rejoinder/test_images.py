"""The Dockerfiles, checked without Docker; `make test-images` builds and runs them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted(ROOT.glob("deploy/*/Dockerfile"))
SERVICES = [path for path in DOCKERFILES if path.parent.name in ("serving", "training")]
RUN = ROOT / "tests" / "images" / "run.sh"


def instructions(dockerfile):
    """Returns (name, arguments) of each instruction, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def values(dockerfile, name):
    return [value for instruction, value in instructions(dockerfile) if instruction == name]


def copied(dockerfile):
    """Returns the paths of the repository that an image copies."""
    files = [value.split()[:-1] for value in values(dockerfile, "COPY") if "--from" not in value]
    return {path.replace("$LOCK", "train") for paths in files for path in paths}


each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
each_service = pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.parent.name)


def test_there_are_images_of_a_worker_a_trainer_and_a_server():
    assert [path.parent.name for path in DOCKERFILES] == ["dataflow", "serving", "training"]


@each_dockerfile
def test_every_base_is_pinned_by_version(path):
    bases = [value.split()[0] for value in values(path, "FROM")]
    bases += re.findall(r"--from=(\S+[:/]\S+)", path.read_text(encoding="utf-8"))
    assert bases
    for base in bases:
        assert re.search(r":[\w.-]*\d+[._]?\d*[\w.-]*$", base), base
        assert not base.endswith(":latest")


@each_dockerfile
def test_packages_come_from_a_lock_with_hashes_and_the_project_is_built_without_a_network(path):
    (locked,) = [value for value in values(path, "RUN") if "-r requirements/" in value]
    assert "--require-hashes" in locked
    assert "--no-deps" in locked
    (built,) = [value for value in values(path, "RUN") if re.search(r" \.( |$)", value)]
    assert "--no-build-isolation" in built
    assert "--no-deps" in built


@each_dockerfile
def test_the_configuration_of_pip_is_a_secret_of_the_build(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"index-url|find-links|trusted-host|PIP_(INDEX|EXTRA|CERT)|https?://(?!127)", text
    )
    (locked,) = [value for value in values(path, "RUN") if "-r requirements/" in value]
    assert "--mount=type=secret,id=pip.conf" in locked
    assert not copied(path) & {"pip.conf", "ca.crt"}


@each_dockerfile
def test_everything_that_is_copied_exists_and_is_sent_to_the_builder(path):
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for name in copied(path):
        assert (ROOT / name).exists(), name
        assert name in sent or name.split("/")[0] in sent, name


@each_dockerfile
def test_an_image_has_the_target_of_every_link_of_the_package(path):
    links = [link.resolve() for link in (ROOT / "rejoinder").iterdir() if link.is_symlink()]
    assert {link.name for link in links} | {"rejoinder", "pyproject.toml"} <= copied(path)


def test_neither_the_environment_nor_the_history_is_sent_to_the_builder():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.venv", "!.git", "!out", "!tests"} & set(rules)


@each_service
def test_a_service_is_built_in_one_stage_and_runs_in_another_without_rights(path):
    assert len(values(path, "FROM")) == 2
    assert values(path, "USER") == ["1000:1000"]
    (health,) = values(path, "HEALTHCHECK")
    assert "CMD" in health
    last = [value for value in values(path, "COPY") if "--from=build" in value]
    assert last == ["--from=build /opt/rejoinder /opt/rejoinder"]


def test_the_server_image_has_what_its_engines_and_versions_in_buckets_need():
    locked = (ROOT / "requirements/serve.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, flags=re.M))
    assert {"tensorflow-cpu", "tensorflow-text", "openvino", "tokenizers"} <= names
    assert {"gcsfs", "s3fs"} <= names
    assert not {"tensorflow", "nncf", "openvino-telemetry", "torch", "apache-beam"} & names


FAKES = {
    "id": "echo 0",
    "docker": '[ "$1" = info ] || [ "$1" = buildx ]',
    "dockerd": 'echo DROP > "$STATE/policy"; echo $$ > "$STATE/folder/dockerd.pid"; exec sleep 60',
    "iptables": 'echo "$*" >> "$STATE/log"\n'
    '[ "$1" = -S ] && echo "-P FORWARD $(cat "$STATE/policy")" || echo "$3" > "$STATE/policy"',
    "ip": 'echo "ip $*" >> "$STATE/log"',
    "docker-init": "",
    "docker-compose": "",
    "debootstrap": "exit 7",
    "go": "",
}


@pytest.mark.skipif(
    "ID=debian" not in Path("/etc/os-release").read_text(encoding="utf-8")
    if Path("/etc/os-release").exists()
    else True,
    reason="the script is for Debian",
)
def test_the_forward_policy_is_restored_after_a_failure(tmp_path):
    """The daemon sets the policy to DROP, and making the first base fails."""
    state = tmp_path / "a" / "b" / "c"
    (state / "folder").mkdir(parents=True)
    (state / "bin").mkdir()
    (state / "policy").write_text("ACCEPT\n")
    for name, body in FAKES.items():
        (state / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (state / "bin" / name).chmod(0o755)
    done = subprocess.run(
        [RUN, state / "folder"],
        env={
            "PATH": f"{state / 'bin'}:{os.environ['PATH']}",
            "STATE": str(state),
            "HOME": str(state),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "test-images: failed" in done.stderr
    assert (state / "policy").read_text() == "ACCEPT\n"
    assert "-P FORWARD ACCEPT" in (state / "log").read_text()
    pid = int((state / "folder" / "dockerd.pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_without_root_the_test_of_images_is_skipped_and_says_so(tmp_path):
    (tmp_path / "id").write_text("#!/bin/bash\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [RUN],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "skipped: the images are not tested: it needs root\n",
    )
