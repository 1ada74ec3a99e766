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
