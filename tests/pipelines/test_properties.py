"""For random dumps: the pairs are the reference's, all lines are counted, the bytes are equal."""

import hashlib
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.pipelines.dumps import chunks
from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.testing import COMPRESS, awkward, expected_pairs, ndjson


def tokenize(texts):
    """Returns one id per character; the real tokenizer has tests of its own."""
    ids = [[0, *(ord(c) % 5000 for c in text), 2] for text in texts]
    splits = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    return np.array([i for row in ids for i in row], np.int32), splits.astype(np.int64)


def shards_of(data: bytes, options: ExtractOptions, chunk_bytes: int, order: random.Random):
    """Returns (shards by bucket and split, counters) from the job's pure functions."""
    extractor = RedditComments(options)
    counters: Counter[str] = Counter()
    blobs: dict[int, list[bytes]] = {}
    summary = chunks.FileSummary()
    made = list(chunks.cut_chunks((part for part in [data]), summary, chunk_bytes=chunk_bytes))
    order.shuffle(made)
    for chunk in made:
        rows, rejects, ended = extractor.read("RC", chunk, ReadNotes())
        counters.update(ended)
        counters.update(f"rejected/{reject.reason}" for reject in rejects)
        for bucket, blob in extractor.to_buckets(rows, 3):
            blobs.setdefault(bucket, []).append(blob)
    shards = {}
    for bucket in sorted(blobs):
        order.shuffle(blobs[bucket])
        result = extractor.process(blobs[bucket], tokenize, ())
        counters.update(result.counters)
        shards |= {(bucket, split): shard.data for split, shard in result.shards.items()}
    return shards, counters


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 120),
    chunk_bytes=st.integers(1_000, 20_000),
    extra_contexts=st.integers(0, 3),
)
def test_chunks_and_order_do_not_change_the_bytes(seed, size, chunk_bytes, extra_contexts):
    lines = awkward(size, seed)
    options = ExtractOptions(keep_text=True, extra_contexts=extra_contexts)
    whole, counters = shards_of(ndjson(lines), options, 1 << 24, random.Random(0))
    assert sum(counters.values()) == len(lines)
    order = random.Random(seed)
    order.shuffle(lines)
    again, recounted = shards_of(ndjson(lines), options, chunk_bytes, order)
    assert again == whole
    assert +recounted == +counters


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 3_000),
    chunk_bytes=st.integers(400, 50_000),
    ending=st.sampled_from(sorted(COMPRESS)),
    bounds=st.lists(st.floats(0, 1), max_size=4),
    cut=st.none() | st.floats(0.2, 0.99),
)
def test_the_parts_of_a_file_have_each_chunk_once_even_if_it_is_damaged(
    tmp_path_factory, seed, size, chunk_bytes, ending, bounds, cut
):
    stored = COMPRESS[ending](ndjson(awkward(size, seed)))
    if cut is not None:
        stored = stored[: max(int(len(stored) * cut), 8)]
    path = tmp_path_factory.mktemp("parts") / f"RC{ending}"
    path.write_bytes(stored)

    def read(**span):
        return list(
            read_chunks(
                str(path), FileSummary(), keep_damaged=True, chunk_bytes=chunk_bytes, **span
            )
        )

    edges = [0, *sorted(int(bound * len(stored)) for bound in bounds)]
    parts = [
        read(begin=begin, end=end) for begin, end in zip(edges, [*edges[1:], None], strict=True)
    ]
    assert [chunk for part in parts for chunk in part] == read()


@pytest.mark.parametrize("seed", range(4))
def test_the_arrangement_in_files_does_not_change_the_corpus(seed, tmp_path, preprocess):
    choose = random.Random(seed)
    lines = awkward(choose.randrange(50, 800), seed)
    expected = None
    for trial in range(3):
        choose.shuffle(lines)
        count = choose.randrange(1, 5)
        folder = tmp_path / f"in{trial}"
        folder.mkdir()
        for number in range(count):
            ending = choose.choice(sorted(COMPRESS))
            data = COMPRESS[ending](ndjson(lines[number::count]))
            (folder / f"RC_{number}{ending}").write_bytes(data)
        arguments = ["--num-shards", "3", "--max-bad-ratio", "1"]
        corpus = preprocess(folder, output=f"out{trial}", arguments=arguments)
        manifest = load_manifest(str(corpus))
        assert sum(manifest.counters.values()) == len(lines)
        assert pairs(corpus) == expected_pairs(lines)
        made = {p.name: hashlib.sha256(p.read_bytes()).digest() for p in corpus.glob("*.tfr*")}
        expected = expected or (made, manifest.counters)
        assert (made, manifest.counters) == expected


def pairs(corpus) -> set[tuple[str, str, str]]:
    return {
        (e["thread_id"], e["context_id"], e["response_id"])
        for split in ("train", "test")
        for e in reading.read_examples(str(corpus), split)
    }
