"""Pairs equal those of PolyAI's extractor for every shape of thread."""

from collections import Counter

import polars as pl
import pytest

from rejoinder.pipelines.reddit import threads

FILTERS = ["deleted"]


def rows(*comments: tuple) -> pl.DataFrame:
    """Rows of (id, parent) or (id, parent, reason) or (id, parent, reason, thread)."""
    full = [(*c, *(0, "t")[len(c) - 2 :]) for c in comments]
    return pl.DataFrame(
        {
            "id": pl.Series([c[0] for c in full], dtype=pl.String),
            "thread": pl.Series([c[3] for c in full], dtype=pl.String),
            "parent": [c[1] for c in full],
            "body": [None if c[2] else f"text of {c[0]}" for c in full],
            "author": ["a"] * len(full),
            "subreddit": ["s"] * len(full),
            "month": pl.Series([24180] * len(full), dtype=pl.Int16),
            "reason": pl.Series([c[2] for c in full], dtype=pl.UInt8),
        },
        schema_overrides={"parent": pl.String, "body": pl.String},
    )


def join(*comments: tuple):
    found = threads.join_threads(rows(*comments), FILTERS)
    ids = found.rows.get_column("id").to_list()
    pairs = {(ids[found.parent[r]], ids[r]) for r in found.response}
    assert sum(found.counters.values()) == len(comments)
    return pairs, +found.counters


def test_a_chain_of_replies():
    pairs, counters = join(("a", None), ("b", "a"), ("c", "b"))
    assert pairs == {("a", "b"), ("b", "c")}
    assert counters == Counter({"pair": 2, "no_pair/top_level": 1})


def test_a_comment_whose_parent_is_missing_is_a_root():
    pairs, counters = join(("b", "gone"), ("c", "b"))
    assert pairs == {("b", "c")}
    assert counters["no_pair/parent_not_in_input"] == 1


def test_the_parent_must_be_in_the_same_thread():
    pairs, _ = join(("a", None, 0, "one"), ("b", "a", 0, "two"))
    assert pairs == set()


def test_a_top_level_comment_is_never_joined_with_a_comment_named_like_its_submission():
    # Thread `t`, and a comment whose id is `t` too.
    pairs, _ = join(("t", None), ("b", None))
    assert pairs == set()


def test_a_filtered_comment_is_neither_context_nor_response():
    pairs, counters = join(("a", None), ("b", "a", 1), ("c", "b"), ("d", "c"))
    assert pairs == {("c", "d")}
    assert counters["filtered/deleted"] == 1
    assert counters["no_pair/parent_filtered"] == 1


@pytest.mark.parametrize("reason", [0, 1])
def test_comments_in_or_below_a_cycle_are_not_pairs_even_if_some_are_filtered(reason):
    pairs, counters = join(("a", "b", reason), ("b", "a"), ("c", "b"), ("d", "c"), ("r", None))
    assert pairs == set()
    assert counters["no_pair/cycle"] == 3 + (reason == 0)


def test_a_comment_that_is_its_own_parent_is_a_cycle():
    pairs, counters = join(("a", "a"), ("b", "a"))
    assert pairs == set()
    assert counters["no_pair/cycle"] == 2


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_one_of_repeated_ids_is_kept_for_any_order(order):
    comments = [("a", None), ("b", "a", 1), ("b", "a"), ("b", "a")]
    pairs, counters = join(*(comments[i] for i in order))
    assert pairs == {("a", "b")}
    assert counters["duplicate_id"] == 2


def test_the_kept_one_of_different_texts_does_not_depend_on_the_order():
    one, two = rows(("a", None), ("b", "a")), rows(("b", "a"))
    two = two.with_columns(body=pl.lit("another text"))
    kept = {
        tuple(sorted(threads.join_threads(pl.concat(frames), FILTERS).rows["body"]))
        for frames in ([one, two], [two, one])
    }
    assert len(kept) == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_of_repeated_ids_a_deleted_one_is_kept_on_request(order):
    comments = [("a", None), ("b", "a"), ("b", "a", 2), ("b", "a", 3)]
    frame = rows(*(comments[i] for i in order))
    names = ["other", "deleted", "removed"]
    found = threads.join_threads(frame, names, winners=("deleted", "removed"))
    assert +found.counters == Counter(
        {"no_pair/top_level": 1, "filtered/deleted": 1, "duplicate_id": 2}
    )
    assert threads.join_threads(frame, names).counters["pair"] == 1


def test_equal_keys_of_different_comments_do_not_change_the_pairs(monkeypatch):
    comments = [("a", None), ("b", "a"), ("c", "b"), ("a", None, 0, "u"), ("d", "a", 0, "u")]
    comments += [("b", "a"), ("e", "gone")]
    expected = join(*comments)
    monkeypatch.setattr(threads, "_key", lambda column: pl.col(column).len().cast(pl.UInt64) * 0)
    assert join(*comments) == expected


def test_a_thread_of_100_000_replies_in_one_chain_and_in_one_fan():
    n = 100_000
    chain = [("c0", None)] + [(f"c{i}", f"c{i - 1}") for i in range(1, n)]
    fan = [("f0", None)] + [(f"f{i}", "f0") for i in range(1, n)]
    frame = rows(*chain, *fan)
    found = threads.join_threads(frame, FILTERS)
    assert found.counters["pair"] == 2 * (n - 1)


def test_ancestors_are_nearest_first():
    found = threads.join_threads(rows(*[("a", None), ("b", "a"), ("c", "b"), ("d", "c")]), FILTERS)
    ids = [*found.rows["id"], None]
    above = threads.ancestors(found, 3)
    by_response = {
        ids[r]: [ids[i] for i in line] for r, line in zip(found.response, above, strict=True)
    }
    assert by_response == {
        "b": [None, None, None],
        "c": ["a", None, None],
        "d": ["b", "a", None],
    }


def test_an_empty_bucket_has_no_pairs():
    found = threads.join_threads(rows(), FILTERS)
    assert len(found.response) == 0
    assert +found.counters == Counter()
