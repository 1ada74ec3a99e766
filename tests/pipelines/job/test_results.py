"""The results of buckets are merged as a tree: no value grows with the number of buckets."""

import json
import random
from collections import Counter

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from rejoinder.pipelines.job.steps import results
from rejoinder.pipelines.job.steps.results import Results
from rejoinder.pipelines.job.steps.spec import REPORT, JobSpec
from rejoinder.pipelines.shards.statistics import OTHER_SUBREDDITS, PairStatistics
from rejoinder.pipelines.testing import awkward, dialogue, ndjson


def make_spec(num_buckets: int, staging="") -> JobSpec:
    return JobSpec(None, num_buckets, 128, 0, False, str(staging), False, False, 0.0, True, None)


def bucket_results(count: int) -> list[tuple[int, Results]]:
    """Results of every bucket but each fifth, with subreddits of all sizes."""
    choose, found = random.Random(count), []
    for bucket in range(count):
        if bucket % 5 != 4:
            names = Counter(f"r{int(choose.paretovariate(0.7))}" for _ in range(40))
            statistics = PairStatistics(subreddits=names, months=Counter({"2015-01": 40}))
            counters = Counter({"pair/train": 40, f"rejected/{bucket % 3}": 1})
            shards = {"train": {"staged": f"s{bucket}", "examples": 40, "bytes": 9, "sha256": ""}}
            found.append((bucket, Results(counters, statistics, {bucket: shards})))
    return found


@pytest.fixture
def small(monkeypatch):
    """Makes the tree and its limit small."""
    monkeypatch.setattr(results, "FANOUT", 4)
    real = PairStatistics.limit_subreddits
    monkeypatch.setattr(PairStatistics, "limit_subreddits", lambda self: real(self, 30))


@pytest.mark.parametrize(
    ("num_buckets", "levels"), [(1, 1), (64, 1), (65, 2), (4_096, 2), (12_000, 3), (99_999, 3)]
)
def test_each_level_divides_the_number_of_results_by_the_fanout(num_buckets, levels):
    assert results.count_levels(num_buckets) == levels


@pytest.mark.parametrize("count", [1, 4, 5, 90])
def test_a_cluster_merges_as_one_process_does_whatever_the_order(tmp_path, small, count):
    made = bucket_results(count)
    expected = results.merge_all(made, count)
    values = [(bucket, json.dumps(result.to_dict()).encode()) for bucket, result in made]
    values.append((REPORT, b'{"inputs": []}'))
    random.Random(1).shuffle(values)

    def check(found):
        (report,) = [value for key, value in found if key == REPORT]
        assert report == b'{"inputs": []}'
        parts = [Results.from_dict(json.loads(blob)) for key, blob in found if key != REPORT]
        assert len(parts) <= 4
        merged = results.merge(parts)
        assert merged.all_shards() == expected.shards
        assert merged.counters == expected.counters
        assert merged.statistics == expected.statistics

    with TestPipeline() as pipeline:
        created = pipeline | beam.Create(values).with_output_types(tuple[int, bytes])
        assert_that(results.add_merges(created, make_spec(count, tmp_path)), check)


def test_the_smallest_subreddits_are_counted_together(small):
    made = bucket_results(300)
    merged = results.merge_all(made, 300)
    everything = sum((result.statistics.subreddits for _, result in made), Counter())
    assert merged.statistics.subreddits.total() == everything.total()
    assert len(merged.statistics.subreddits) == 31
    assert merged.statistics.subreddits[OTHER_SUBREDDITS] > 0
    assert merged.statistics.subreddits["r1"] == everything["r1"]
    assert merged.statistics.months == {"2015-01": 40 * len(made)}


def test_few_subreddits_are_all_counted_by_name():
    made = bucket_results(300)
    everything = sum((result.statistics.subreddits for _, result in made), Counter())
    assert results.merge_all(made, 300).statistics.subreddits == everything


def test_no_buckets_give_empty_results():
    assert results.merge_all([], 4) == Results()


def test_a_merged_value_does_not_hold_the_shards_of_its_buckets(tmp_path, small):
    merging = results.MergeResults(make_spec(4, tmp_path))
    made = [json.dumps(result.to_dict()).encode() for _, result in bucket_results(4)]
    ((key, blob),) = merging.process((7, made))
    values = json.loads(blob)
    assert key == 7
    assert values["shards"] == {}
    assert Results.from_dict(values).all_shards() == results.merge_all(bucket_results(4), 4).shards


@pytest.mark.parametrize("preset", ["polyai", "clean"])
def test_every_file_of_a_corpus_is_the_same_with_a_deep_tree(
    tmp_path, preprocess, monkeypatch, request, preset
):
    dump = tmp_path / "RC"
    dump.write_bytes(ndjson([*dialogue(60), *awkward(800, 3)]))
    given = ["--name", "same", "--num-shards", "11", "--max-bad-ratio", "0.1", "--preset", preset]
    monkeypatch.setattr(results, "FANOUT", 3)
    local = preprocess(dump, output="local", arguments=given)
    expected = {p.relative_to(local): p.read_bytes() for p in local.rglob("*") if p.is_file()}
    request.getfixturevalue("local_objects")
    made = preprocess(dump, output="cluster", arguments=given)
    found = {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    assert found == expected
