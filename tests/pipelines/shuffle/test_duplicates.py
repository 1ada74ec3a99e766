"""Of equal pairs in the whole corpus one is kept, and the order of arrival does not matter."""

import polars as pl
import pytest

from rejoinder.pipelines.shuffle import duplicates

# (bucket, thread, id of the response, context, response)
PAIRS = [
    (0, "t1", "c1", "hello", "hi"),
    (0, "t1", "c2", "hello", "good day"),
    (1, "t0", "c9", "hello", "hi"),
    (2, "t1", "c0", "hello", "hi"),
    (2, "t2", "c5", "hellohi", ""),
]


def blobs_by_range(pairs) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for bucket, thread, response_id, context, response in pairs:
        origin = pl.DataFrame({"thread": [thread], "id": [response_id], "reason": [0]})
        keys = duplicates.pair_keys(pl.Series([context]), pl.Series([response]), origin)
        for index, blob in duplicates.partition_keys(keys, bucket, 4):
            found.setdefault(index, []).append(blob)
    return found


@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[::-1], PAIRS[2:] + PAIRS[:2]])
def test_the_pair_with_the_smallest_thread_and_id_is_kept(pairs):
    dropped = set()
    for blobs in blobs_by_range(pairs).values():
        for bucket, blob in duplicates.duplicates_to_drop(blobs):
            frame = duplicates.read_duplicates_to_drop([blob])
            dropped |= {(bucket, *row) for row in frame.rows()}
    assert dropped == {(0, "t1", "c1"), (2, "t1", "c0")}


def test_nothing_to_drop_is_an_empty_frame():
    frame = duplicates.read_duplicates_to_drop([])
    assert (frame.columns, frame.height) == (["thread", "id"], 0)
    assert list(duplicates.partition_keys(frame.with_columns(digest=pl.lit(b"")), 0, 4)) == []


def test_texts_of_every_length_and_alphabet_survive_the_shuffle():
    ids = ["", "é", "a" * 70_000, "\U0001f600 ", "\0", "zz"]
    origin = pl.DataFrame({"thread": ids[::-1], "id": ids})
    same = pl.Series(["same"] * len(ids))
    keys = duplicates.pair_keys(same, same, origin)
    blobs = [
        blob
        for n in range(len(ids))
        for _, blob in duplicates.partition_keys(keys[n : n + 1], n, 7)
    ]
    dropped = [blob for _, blob in duplicates.duplicates_to_drop(blobs)]
    found = duplicates.read_duplicates_to_drop(dropped).rows()
    assert sorted(found) == sorted(origin.rows())[1:]


def test_pairs_are_spread_over_as_many_ranges_as_are_asked_for():
    texts = pl.Series(map(str, range(20_000)))
    keys = duplicates.pair_keys(texts, texts, pl.DataFrame({"thread": texts, "id": texts}))
    found = dict(duplicates.partition_keys(keys, 3, 1_000))
    assert list(found) == list(range(1_000)), "the first byte has 256 values"
    assert (
        sum(duplicates.read_duplicates_to_drop([blob]).height for blob in found.values()) == 20_000
    )
    assert max(map(len, found.values())) < 50 * 60, "bytes: 20 pairs on average, 60 bytes a pair"
