"""Files of ready pairs as the input of the Beam job: one JSON value per line.

`forms` defines the lines that are pairs; tables are read as such lines.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.corpus import features as names
from rejoinder.corpus.manifest import FURTHER_PAIR
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.options import check_ranges
from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary
from rejoinder.pipelines.dumps.lines import BadLineError, Reject, excerpt, parse_json
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.growth.state import Growth
from rejoinder.pipelines.pair_files import forms
from rejoinder.pipelines.pair_files.links import Threads
from rejoinder.pipelines.pair_files.read import delimited_kind, read_pair_chunks
from rejoinder.pipelines.shards.bucket import DUPLICATE_PAIR, Bucket
from rejoinder.pipelines.shards.encode import PairEncoder, ShardData, Tokenize
from rejoinder.pipelines.shards.shared_texts import SharedTexts
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.pipelines.shuffle import hashing, partition

_TEXTS = (names.CONTEXT, names.RESPONSE)
_BUCKET_SEED, _ORDER_SEED = 4, 5  # `links` has 6


@dataclass(frozen=True)
class PairOptions:
    """The options of an extraction from pair files.

    Attributes:
        test_share: Share of the contexts, or threads, whose pairs go to the test split.
        linked: Whether pairs that share a text, also through other pairs, are one thread.
        drop_duplicates: Whether equal pairs are kept once.
        keep_text: Whether the train split carries the texts, too.
        limit: Lines read of each file; 0 reads all.
        max_length: Most token ids per side, `<s>` and `</s>` included.
        num_shards: Shards per split; 0 chooses by input size.
        columns: Names of the two columns to read; empty reads every form of `forms`.
    """

    test_share: float = 0.1
    linked: bool = False
    drop_duplicates: bool = False
    keep_text: bool = False
    limit: int = 0
    max_length: int = 128
    num_shards: int = 0
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.test_share <= 1:
            raise UserError(f"--test-share: must be 0 to 1, got {self.test_share:g}")
        if len(set(self.columns)) == 1:
            raise UserError(f"--columns: names {self.columns[0]!r} twice; name two columns")
        check_ranges(
            self,
            {
                "limit": (0, 1 << 60),
                "max_length": (3, 1 << 16),
                "num_shards": (0, 99_999),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON values."""
        return {**asdict(self), "columns": list(self.columns)}


@dataclass(frozen=True)
class PairFiles:
    """A `rejoinder.pipelines.job.extractor.Extractor` of the pairs in pair files.

    Attributes:
        options: The options.
        threads: The thread of each text, if pairs are linked.
        duplicates_cross_buckets: See `Extractor`.
    """

    options: PairOptions
    threads: Threads | None = None
    duplicates_cross_buckets: bool = False

    @property
    def text_features(self) -> tuple[str, ...]:
        """Names of the features beside the token ids."""
        return (*_TEXTS, names.THREAD_ID) if self.options.linked else _TEXTS

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, pa.large_string()) for name in self.text_features])

    def read_chunks(self, path: str, summary: FileSummary, **options: Any) -> Iterator[Chunk]:
        """See `Extractor.read_chunks`."""
        return read_pair_chunks(path, summary, self.options.columns, **options)

    def read(
        self, path: str, chunk: Chunk, notes: ReadNotes
    ) -> tuple[pl.DataFrame, list[Reject], dict[str, int]]:
        """See `Extractor.read`."""
        pairs: forms.Pairs = []
        rejects: list[Reject] = []
        blanks = good = 0
        if chunk.oversize:
            rejects.append(Reject(chunk.first_line, "line_too_long", excerpt(chunk.data)))
        else:
            is_table = delimited_kind(path) is not None
            lines = chunk.data.split(b"\n")[: chunk.lines]
            for number, line in enumerate(lines, chunk.first_line):
                stripped = line.strip(b" \t\r\n")
                if not stripped:
                    blanks += 1
                    continue
                try:
                    pairs.extend(self._parse(stripped, is_table))
                    good += 1
                except BadLineError as error:
                    rejects.append(Reject(number, str(error), excerpt(stripped)))
            if chunk.index == 0 and not good:
                self._check_keys(path, lines)
        rows = pl.DataFrame(pairs, schema=dict.fromkeys(_TEXTS, pl.String), orient="row")
        further = {FURTHER_PAIR: len(pairs) - good} if len(pairs) > good else {}
        return rows, rejects, {"blank_line": blanks, **further}

    def _parse(self, line: bytes, is_table: bool) -> forms.Pairs:
        value = parse_json(line)
        if is_table and isinstance(value, list):
            raise BadLineError(value[0])  # a row that `delimited` could not read
        return forms.pairs_of(value, self.options.columns)

    def _check_keys(self, path: str, lines: Sequence[bytes]) -> None:
        """Raises an error if the first object among the lines has no keys of a pair."""
        for line in lines:
            try:
                value = parse_json(line)
            except BadLineError:
                continue
            if isinstance(value, dict):
                if forms.choose_keys(value, self.options.columns) is None:
                    found = list(reversed(value))  # `parse_json` reverses them
                    raise forms.unknown_keys_error(path, found, self.options.columns)
                return

    def to_buckets(self, rows: pl.DataFrame, num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """See `Extractor.to_buckets`; pairs with equal contexts, or threads, are in one bucket."""
        if self.threads:
            rows = rows.with_columns(self.threads.of(rows.get_column(names.CONTEXT)))
        hashes = hashing.hash_strings(rows.get_column(self._unit), _BUCKET_SEED)
        buckets = (hashes % np.uint64(num_buckets)).astype(np.int64)
        return partition.partition_rows(rows, buckets, self._schema)

    @property
    def _unit(self) -> str:
        """The column whose equal values are in one bucket and in one split."""
        return names.THREAD_ID if self.options.linked else names.CONTEXT

    def pair_keys(self, blobs: Sequence[bytes], growth: Growth | None = None) -> Any:
        """Not needed, because equal pairs are in one bucket."""
        raise NotImplementedError

    def process(
        self,
        blobs: Sequence[bytes],
        tokenize: Tokenize,
        duplicates: Sequence[bytes],
        growth: Growth | None = None,
    ) -> Bucket:
        """See `Extractor.process`."""
        rows = partition.merge(blobs, self._schema)
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
        is_train = hashing.split_values(rows.get_column(self._unit).to_list()) <= train_share
        shards: dict[str, ShardData] = {}
        for split in SPLITS:
            pairs = np.flatnonzero(is_train if split == "train" else ~is_train)
            with_text = split != "train" or self.options.keep_text
            picked = rows[pairs].to_arrow(compat_level=pl.CompatLevel.oldest())
            kept = [n for n in self.text_features if with_text or n == names.THREAD_ID]
            text = {n: picked[n].combine_chunks() for n in kept}
            shards[split] = encoder.encode(pairs, text)
            counters[f"pair/{split}"] = len(pairs)
        sides = (pl.concat([context.filter(m), response.filter(m)]) for m in (is_train, ~is_train))
        shared = SharedTexts.of(*sides)
        return Bucket(shards, counters, PairStatistics.of(encoder), shared)


def _order(rows: pl.DataFrame) -> np.ndarray:
    keyed = rows.with_columns(
        key=pl.Series(
            hashing.hash_strings(rows.get_column(names.CONTEXT), _ORDER_SEED)
            ^ hashing.hash_strings(rows.get_column(names.RESPONSE), _ORDER_SEED + 1)
        )
    )
    order = keyed.select(pl.arg_sort_by(["key", names.CONTEXT, names.RESPONSE]))
    return order.to_series().to_numpy().astype(np.int64)
