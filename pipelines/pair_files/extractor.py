"""Files of ready pairs as the input of the Beam job: one JSON value per line.

A line is `["a", "b"]` or `{"context": "a", "response": "b"}`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.corpus import features as names
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary, read_chunks
from rejoinder.pipelines.dumps.lines import BadLineError, Reject, check_text, excerpt, parse_json
from rejoinder.pipelines.shards.bucket import DUPLICATE_PAIR, Bucket
from rejoinder.pipelines.shards.encode import PairEncoder, ShardData, Tokenize
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.pipelines.shuffle import hashing, partition

TEXT_FEATURES = (names.CONTEXT, names.RESPONSE)
_KEYS = ("context", "response")
_SCHEMA = pa.schema([(name, pa.large_string()) for name in TEXT_FEATURES])
_BUCKET_SEED, _ORDER_SEED = 4, 5


@dataclass(frozen=True)
class PairOptions:
    """The options of an extraction from pair files.

    Attributes:
        test_share: Share of the contexts whose pairs go to the test split.
        drop_duplicates: Whether equal pairs are kept once.
        keep_text: Whether the train split carries the texts, too.
        limit: Lines read of each file; 0 reads all.
        max_length: Most token ids per side, `<s>` and `</s>` included.
        num_shards: Shards per split; 0 chooses by input size.
    """

    test_share: float = 0.1
    drop_duplicates: bool = False
    keep_text: bool = False
    limit: int = 0
    max_length: int = 128
    num_shards: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.test_share <= 1:
            raise UserError(f"--test-share: must be 0 to 1, got {self.test_share:g}")
        for name, low in (("limit", 0), ("max_length", 3), ("num_shards", 0)):
            if getattr(self, name) < low:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag}: must be at least {low}, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class PairFiles:
    """A `rejoinder.pipelines.job.extractor.Extractor` of the pairs in pair files."""

    options: PairOptions
    duplicates_cross_buckets: bool = False

    def read_chunks(self, path: str, summary: FileSummary, **options: Any) -> Iterator[Chunk]:
        """See `Extractor.read_chunks`."""
        return read_chunks(path, summary, **options)

    def read(self, path: str, chunk: Chunk) -> tuple[pl.DataFrame, list[Reject], dict[str, int]]:
        """See `Extractor.read`."""
        pairs, rejects, blanks = [], [], 0
        if chunk.oversize:
            rejects.append(Reject(chunk.first_line, "line_too_long", excerpt(chunk.data)))
        else:
            lines = chunk.data.split(b"\n")[: chunk.lines]
            for number, line in enumerate(lines, chunk.first_line):
                stripped = line.strip(b" \t\r\n")
                if not stripped:
                    blanks += 1
                    continue
                try:
                    pairs.append(_pair(stripped))
                except BadLineError as error:
                    rejects.append(Reject(number, str(error), excerpt(stripped)))
        rows = pl.DataFrame(pairs, schema=dict.fromkeys(TEXT_FEATURES, pl.String), orient="row")
        return rows, rejects, {"blank_line": blanks}

    def to_buckets(self, rows: pl.DataFrame, num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """See `Extractor.to_buckets`; pairs with equal contexts are in one bucket."""
        hashes = hashing.hash_strings(rows.get_column(names.CONTEXT), _BUCKET_SEED)
        buckets = (hashes % np.uint64(num_buckets)).astype(np.int64)
        return partition.partition_rows(rows, buckets, _SCHEMA)

    def pair_keys(self, blobs: Sequence[bytes]) -> Any:
        """Not needed, because equal pairs are in one bucket."""
        raise NotImplementedError

    def process(
        self, blobs: Sequence[bytes], tokenize: Tokenize, duplicates: Sequence[bytes]
    ) -> Bucket:
        """See `Extractor.process`."""
        rows = partition.merge(blobs, _SCHEMA)
        total = rows.height
        if self.options.drop_duplicates:
            rows = rows.unique()
        rows = rows[_order(rows)]
        counters: Counter[str] = Counter({DUPLICATE_PAIR: total - rows.height})
        context, response = rows.get_column(names.CONTEXT), rows.get_column(names.RESPONSE)
        texts = pl.concat([context, response])
        index = np.arange(rows.height)
        encoder = PairEncoder(texts, index, index + rows.height, tokenize)
        train_share = 1 - self.options.test_share
        is_train = np.fromiter(
            (hashing.split_value(text) <= train_share for text in context), bool, rows.height
        )
        shards: dict[str, ShardData] = {}
        for split in SPLITS:
            pairs = np.flatnonzero(is_train if split == "train" else ~is_train)
            with_text = split != "train" or self.options.keep_text
            picked = rows[pairs].to_arrow(compat_level=pl.CompatLevel.oldest())
            text = {n: picked[n].combine_chunks() for n in TEXT_FEATURES} if with_text else {}
            shards[split] = encoder.encode(pairs, text)
            counters[f"pair/{split}"] = len(pairs)
        return Bucket(shards, counters, PairStatistics.of(encoder))


def _pair(line: bytes) -> tuple[str, str]:
    value = parse_json(line)
    if isinstance(value, dict):
        value = [value.get(key) for key in _KEYS]
    if not isinstance(value, list) or len(value) != 2:
        raise BadLineError("not_a_pair")
    for text in value:
        if not isinstance(text, str):
            raise BadLineError("wrong_type")
        if not text.strip():
            raise BadLineError("empty_text")
    return check_text(value[0]), check_text(value[1])


def _order(rows: pl.DataFrame) -> np.ndarray:
    keyed = rows.with_columns(
        key=pl.Series(
            hashing.hash_strings(rows.get_column(names.CONTEXT), _ORDER_SEED)
            ^ hashing.hash_strings(rows.get_column(names.RESPONSE), _ORDER_SEED + 1)
        )
    )
    order = keyed.select(pl.arg_sort_by(["key", names.CONTEXT, names.RESPONSE]))
    return order.to_series().to_numpy().astype(np.int64)
