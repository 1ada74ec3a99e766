"""The peers of `benchmarks/preprocess.py`: each is one function, run in its own process.

    python -m benchmarks.preprocess_peers PEER INPUT OUTPUT TOKENIZER LIMIT

prints JSON: the number of comments, and wall and CPU seconds without start-up.
"""

import json
import os
import sys
import time
from collections.abc import Iterator

from rejoinder.pipelines.job import thread_limit

thread_limit.limit_threads()

_STEP = 200_000  # texts to tokenize at once
Seconds = tuple[float, float]  # wall, CPU


class Clock:
    """Measures wall and CPU seconds from its creation."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def seconds(self) -> Seconds:
        """Returns the seconds since creation."""
        return time.perf_counter() - self._started[0], time.process_time() - self._started[1]


def read_lines(path: str, limit: int) -> Iterator[bytes]:
    """Yields the first `limit` lines of a dump, or all."""
    from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks

    count = 0
    for chunk in read_chunks(path, FileSummary(), checksum=False):
        for line in chunk.data.splitlines():
            yield line
            count += 1
            if count == limit:
                return


def count_lines(path: str) -> int:
    """Returns the number of lines of a dump."""
    from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks

    summary = FileSummary()
    for _ in read_chunks(path, summary, checksum=False, begin=1 << 62):
        pass
    return summary.lines


def element_wise(path: str, output: str, tokenizer: str, limit: int) -> tuple[int, Seconds]:
    """A Beam job with one element per comment, like PolyAI's extractor, without tokenizing."""
    import apache_beam as beam
    from apache_beam.io.tfrecordio import WriteToTFRecord
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from tensorflow.core.example import example_pb2

    def comment(line):
        value = json.loads(line)
        parent = value["parent_id"]
        return value["link_id"][3:], {
            "id": value["id"],
            "parent": parent[3:] if parent.startswith("t1_") else None,
            "body": value["body"],
            "author": value["author"],
            "subreddit": value["subreddit"],
        }

    def passes(row):
        return row["body"] not in ("[deleted]", "[removed]") and 9 <= len(row["body"]) <= 127

    def pairs(group):
        thread, rows = group
        by_id = {row["id"]: row for row in rows}
        for row in by_id.values():
            parent = by_id.get(row["parent"])
            if parent is None or not passes(row) or not passes(parent):
                continue
            example = example_pb2.Example()
            for name, text in (
                ("context", parent["body"]),
                ("response", row["body"]),
                ("context_author", parent["author"]),
                ("response_author", row["author"]),
                ("subreddit", row["subreddit"]),
                ("thread_id", thread),
            ):
                example.features.feature[name].bytes_list.value.append(text.encode())
            yield example.SerializeToString()

    lines = list(read_lines(path, limit))
    clock = Clock()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create(lines, reshuffle=False)
            | beam.Map(comment)
            | beam.GroupByKey()
            | beam.FlatMap(pairs)
            | beam.Reshuffle()
            | WriteToTFRecord(output, num_shards=4)
        )
    return len(lines), clock.seconds()


def duckdb(path: str, output: str, tokenizer: str, limit: int) -> tuple[int, Seconds]:
    """DuckDB: parse, filter and join a decompressed file, without tokenizing and writing."""
    import duckdb as engine

    plain = output + ".ndjson"
    with open(plain, "wb") as file:
        for line in read_lines(path, 0):
            file.write(line + b"\n")
    db = engine.connect(config={"threads": 1})
    names = ("id", "link_id", "parent_id", "body", "author", "subreddit")
    columns = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in names) + "}"
    clock = Clock()
    db.execute(
        f"""create temp table c as select * from read_ndjson('{plain}', columns={columns})
        where length(body) between 9 and 127 and body not in ('[deleted]', '[removed]')"""
    )
    db.execute(
        """select count(*), sum(length(p.body)) from c r join c p
        on r.link_id = p.link_id and r.parent_id = 't1_' || p.id"""
    ).fetchone()
    seconds = clock.seconds()
    os.unlink(plain)
    return count_lines(path), seconds


def hf_tokenizers(path: str, output: str, tokenizer: str, limit: int) -> tuple[int, Seconds]:
    """Hugging Face `tokenizers` on the bodies that pass the length filter; counts texts."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(f"{tokenizer}/tokenizer.json")
    encode.enable_truncation(128)
    bodies = (json.loads(line)["body"] for line in read_lines(path, limit))
    texts = [body for body in bodies if 9 <= len(body) <= 127]
    clock = Clock()
    for start in range(0, len(texts), 10_000):
        encode.encode_batch(texts[start : start + 10_000])
    return len(texts), clock.seconds()


def floor(path: str, output: str, tokenizer: str, limit: int) -> tuple[int, Seconds]:
    """The minimal work in one plain loop: without Beam, checks, counters and order."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    from rejoinder.corpus import tfrecord
    from rejoinder.corpus.features import CONTEXT_IDS, RESPONSE_IDS
    from rejoinder.corpus.varint import encode_token_ids
    from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks
    from rejoinder.pipelines.job.tokenizer_files import read_files, tokenize_function
    from rejoinder.pipelines.shards import wire_format
    from rejoinder.pipelines.shards.encode import number_used

    tokenize = tokenize_function(read_files(tokenizer), 128)
    tokenize(["warm up"])
    schema = dict.fromkeys(("id", "link_id", "parent_id", "body", "author", "subreddit"), pl.String)
    clock = Clock()
    total, frames = 0, []
    body = pl.col("body")
    keep = body.str.len_chars().is_between(9, 127) & ~body.is_in(["[deleted]", "[removed]"])
    for chunk in read_chunks(path, FileSummary(), checksum=False):
        frame = pl.read_ndjson(chunk.data, schema=schema)
        total += frame.height
        frames.append(frame.filter(keep))
    rows = pl.concat(frames).with_row_index("row")
    parents = rows.select("link_id", ("t1_" + pl.col("id")).alias("parent_id"), context="row")
    joined = rows.select("link_id", "parent_id", "row").join(parents, on=["link_id", "parent_id"])
    used, (context, response) = number_used(
        rows.height, joined["context"].to_numpy(), joined["row"].to_numpy()
    )
    texts = rows["body"].gather(pl.Series(used))
    parts = [tokenize(texts[at : at + _STEP].to_list()) for at in range(0, len(used), _STEP)]
    values = np.concatenate([part for part, _ in parts])
    lengths = np.concatenate([np.diff(splits) for _, splits in parts])
    splits = np.concatenate([[0], np.cumsum(lengths)])
    packed = encode_token_ids(values, splits)
    records = wire_format.encode_examples(
        [
            wire_format.ids_feature(CONTEXT_IDS, packed).take(pa.array(context)),
            wire_format.ids_feature(RESPONSE_IDS, packed).take(pa.array(response)),
        ]
    )
    with open(output, "wb") as file:
        file.write(tfrecord.frame(records))
    return total, clock.seconds()


def same_steps(path: str, output: str, tokenizer: str, limit: int) -> tuple[int, Seconds]:
    """The command's own steps in one plain loop: without Beam, the shuffle and its records.

    It parses with all checks and counters, filters, samples, joins, orders, tokenizes,
    encodes and counts, but holds all comments in memory, and draws no report.
    """
    import polars as pl

    from rejoinder.corpus import checksums
    from rejoinder.pipelines.dumps.chunks import FileSummary
    from rejoinder.pipelines.dumps.notes import ReadNotes
    from rejoinder.pipelines.job.tokenizer_files import read_files, tokenize_function
    from rejoinder.pipelines.reddit import filters, pairs, threads
    from rejoinder.pipelines.reddit.extractor import RedditComments
    from rejoinder.pipelines.reddit.options import ExtractOptions

    tokenize = tokenize_function(read_files(tokenizer), 128)
    tokenize(["warm up"])
    options, summary, notes = ExtractOptions(), FileSummary(), ReadNotes()
    comments = RedditComments(options)
    clock = Clock()
    chunks = comments.read_chunks(path, summary)
    rows = pl.concat([comments.read(path, chunk, notes)[0] for chunk in chunks]).rechunk()
    found = threads.join_threads(rows, [f.name for f in filters.build_filters(options)])
    made = pairs.make_shards(found, options, tokenize)
    for split, shard in made.shards.items():
        with open(f"{output}.{split}", "wb") as file:
            file.write(shard.data)
        checksums.sha256(shard.data)
    return summary.lines, clock.seconds()


PEERS = {
    "same steps": same_steps,
    "element-wise Beam": element_wise,
    "DuckDB": duckdb,
    "HF tokenizers": hf_tokenizers,
    "floor": floor,
}

if __name__ == "__main__":
    peer, *arguments, limit = sys.argv[1:]
    comments, (wall, cpu) = PEERS[peer](*arguments, int(limit))
    print(json.dumps({"comments": comments, "wall": wall, "cpu": cpu}))
