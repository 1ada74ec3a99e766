"""The texts that both splits have are counted in whatever order buckets are added."""

import itertools
import json

import polars as pl

from rejoinder.pipelines.publish.report import describe_shared
from rejoinder.pipelines.shards import shared_texts
from rejoinder.pipelines.shards.shared_texts import SharedTexts


def texts(*ranges: range) -> pl.Series:
    return pl.Series([f"text {n}" for r in ranges for n in r], dtype=pl.String)


def test_all_texts_of_a_small_corpus_are_compared():
    first = SharedTexts.of(texts(range(100), range(50)), texts(range(90, 110)))
    second = SharedTexts.of(texts(range(200, 210)), texts(range(100, 120), range(205, 206)))
    assert first.figures() == {"test_texts": 20, "in_train": 10, "compared": 1.0}
    assert (first + second).figures() == {"test_texts": 31, "in_train": 11, "compared": 1.0}
    assert first + SharedTexts() == first
    assert SharedTexts.of(texts(), texts()) == SharedTexts()


def test_a_large_corpus_is_compared_in_the_same_sample_in_any_order(monkeypatch):
    monkeypatch.setattr(shared_texts, "MOST", 400)
    parts = [
        SharedTexts.of(texts(range(a, a + 400)), texts(range(a + 300, a + 500)))
        for a in (0, 400, 800, 5000)
    ]
    sums = [a + b + c + d for a, b, c, d in itertools.permutations(parts)]
    sums += [(a + b) + (c + d) for a, b, c, d in itertools.permutations(parts)]
    assert all(one == sums[0] for one in sums)
    found = sums[0].figures()
    assert found["compared"] == 0.125
    assert 60 < found["test_texts"] < 140  # an eighth of 800
    assert abs(found["in_train"] / found["test_texts"] - 600 / 800) < 0.15


def test_the_values_of_the_job_are_json():
    one = SharedTexts.of(texts(range(9)), texts(range(3, 4)))
    assert SharedTexts.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_the_report_says_what_was_compared():
    figures = {"test_texts": 2000, "in_train": 100, "compared": 1.0}
    assert describe_shared(figures) == (
        "100 of the 2,000 different texts of the test split (5.0%) are in the train split, too."
    )
    assert "in a sample of 12.50% of all texts." in describe_shared(figures | {"compared": 0.125})
