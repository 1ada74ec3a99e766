"""The plan of a job: a pure function of options and input files, and what `--dry-run` prints."""

import os

import pytest

from rejoinder.pipelines import preprocess
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.job import execution, plan, run, runners
from rejoinder.pipelines.job.arguments import JobArguments
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.storage import FileEntry

DATAFLOW = [
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/temp",
    "--sdk_container_image=europe-west4-docker.pkg.dev/my-project/images/rejoinder:1",
    "--no_auth",
]
FILES = [FileEntry("RC_1.zst", 3_000_000_000), FileEntry("RC_2", 500)]


def make_plan(*given, runner="", workers=1, beam=(), **options):
    required = ["--input", "RC_*", "--output", "out/reddit/"]
    parsed, _ = preprocess.build_parser().parse_known_args([*required, *given])
    extract = ExtractOptions(**options)
    return plan.plan_job(
        JobArguments.of(parsed),
        FILES,
        runners.choose(runner, workers, beam),
        RedditComments(extract),
        extract,
        ["context", "response"],
    )


def test_a_local_output_is_absolute_and_names_the_data_set():
    made = make_plan()
    assert made.output == os.path.abspath("out/reddit")
    assert made.name == "reddit"
    assert make_plan("--name", "mine").name == "mine"
    assert make_plan("--output", "gs://bucket/corpus/").output == "gs://bucket/corpus"


def test_the_number_of_shards_is_resolved_and_recorded():
    made = make_plan()
    assert made.options["num_shards"] == made.spec.num_buckets > 100
    assert make_plan(num_shards=7).options["num_shards"] == 7


def test_a_corpus_that_can_grow_has_a_power_of_two_of_buckets():
    small, large = (plan._choose_buckets(FILES[n:], GrowthSpec(6)) for n in (1, 0))
    assert (small, large) == (4, 128)
    assert large > plan._choose_buckets(FILES, None) > large // 2


def test_the_shuffle_is_on_disk_only_where_all_workers_share_it():
    assert make_plan().spec.on_disk
    assert not make_plan("--output", "gs://bucket/corpus").spec.on_disk
    assert not make_plan(runner="FlinkRunner").spec.on_disk


def test_large_files_are_divided_between_the_workers():
    assert len(make_plan().parts) == 2
    assert len(make_plan(workers=4).parts) == 5


def test_train_has_text_only_with_keep_text():
    assert make_plan().has_text == ("test",)
    assert make_plan(keep_text=True).has_text == ("train", "test")


def test_the_description_lists_inputs_options_and_buckets():
    text = plan.describe(make_plan(workers=2, drop_bots=True))
    for expected in (
        "3.0 GB  RC_1.zst",
        "3.0 GB  in 2 files, about 30.0 GB decompressed",
        "drop_bots               true",
        "runner                  FnApiRunner, 2 local worker(s)",
        "estimated time          2 min 30 s (0.08 core-hours)",
    ):
        assert expected in text


@pytest.mark.parametrize("drop_duplicates", [False, True])
def test_dataflows_graph_is_built_offline(drop_duplicates):
    made = make_plan(
        "--output",
        "gs://my-bucket/corpus",
        runner="DataflowRunner",
        beam=DATAFLOW,
        drop_duplicates=drop_duplicates,
    )
    steps = execution.dataflow_steps(made.runner, lambda pipeline: run.build_empty(made, pipeline))
    expected = {"ReadDump", "GroupByBucket", "WriteBucket", "GroupResults", "Publish"}
    if drop_duplicates:
        expected |= {"DigestPairs", "GroupByDigest", "FindDuplicates", "GroupAgain"}
    assert expected <= set(steps)
