"""The end of a job names its counters, what it wrote, where, and the next commands."""

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.pipelines.job.summary import summarize, summarize_submission


def test_the_summary_names_counters_output_and_next_commands():
    splits = {
        "test": [Shard("test.tfrecord-00000-of-00001", 1, 9, "")],
        "train": [Shard("train.tfrecord-00000-of-00001", 1_200, 9, "")],
    }
    counters = {"pair/train": 1_200, "pair/test": 1, "blank_line": 0, "no_pair/top_level": 40}
    manifest = Manifest(
        "demo", splits, 128, "", 1, 10, [], inputs=[{"lines": 1_241}], counters=counters
    )
    assert summarize(manifest, "out/demo", 2.51).splitlines() == [
        "1,241 lines in 2.5 s",
        "  pair/train         1,200",
        "  no_pair/top_level     40",
        "  pair/test              1",
        "wrote out/demo: 2 shards, pairs: train 1,200, test 1; open report.html there",
        "next: rejoinder verify out/demo",
        "      rejoinder train --config CONFIG --corpus out/demo --model-dir DIR",
    ]


def test_a_submission_names_the_file_that_ends_the_job():
    first, *rest = summarize_submission("gs://b/demo", "COMPLETED").splitlines()
    assert first == "submitted; gs://b/demo is finished when it holds COMPLETED"
    assert rest[0] == "next: rejoinder verify gs://b/demo"
