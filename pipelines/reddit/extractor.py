"""What a job extracts from its lines: everything that differs between kinds of input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rejoinder.errors import UserError
from rejoinder.pipelines.reddit.options import ExtractOptions

if TYPE_CHECKING:
    import polars as pl

    from rejoinder.pipelines.dumps.chunks import Chunk
    from rejoinder.pipelines.reddit.line_parser import Reject
    from rejoinder.pipelines.reddit.pairs import Bucket
    from rejoinder.pipelines.shards.encode import Tokenize


class Source(Protocol):
    """Lines to rows, rows to buckets, a bucket to shards.

    Implementations are small and picklable: they travel to the workers.

    Attributes:
        duplicates_cross_buckets: Whether equal pairs may be in different buckets.
    """

    @property
    def duplicates_cross_buckets(self) -> bool:
        """See the class."""

    def read(
        self, path: str, chunk: "Chunk"
    ) -> tuple["pl.DataFrame", list["Reject"], dict[str, int]]:
        """Returns the rows of a chunk, the lines refused, and counts of lines that end here.

        Rows + refused lines + counts = the chunk's lines.
        """

    def partition(self, rows: "pl.DataFrame", num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """Yields (bucket, blob) for every bucket that has rows."""

    def pair_keys(self, blobs: Sequence[bytes]) -> Any:
        """Returns the keys of a bucket's pairs, for `rejoinder.pipelines.shuffle.duplicates`."""

    def process(
        self, blobs: Sequence[bytes], tokenize: "Tokenize", duplicates: Sequence[bytes]
    ) -> "Bucket":
        """Returns a bucket's shards, without the pairs that `duplicates` names."""


@dataclass(frozen=True)
class RedditComments:
    """Comment dumps: pairs are a comment and its reply."""

    options: ExtractOptions
    duplicates_cross_buckets: bool = True

    def read(
        self, path: str, chunk: "Chunk"
    ) -> tuple["pl.DataFrame", list["Reject"], dict[str, int]]:
        """See `Source.read`."""
        from rejoinder.pipelines.reddit.filters import build_filters, optional_columns
        from rejoinder.pipelines.reddit.parse import parse_chunk
        from rejoinder.pipelines.reddit.rows import sample, to_rows

        parsed, rejects, blanks = parse_chunk(chunk, optional_columns(self.options))
        submissions = sum(reject.reason == "submission" for reject in rejects)
        if submissions * 2 > chunk.lines:
            raise UserError(
                f"{path}: holds submissions (RS_ files), not comments; "
                "give the RC_ file of that month"
            )
        counts = {"blank_line": blanks}
        if self.options.sample < 1:
            total = parsed.height
            parsed = sample(parsed, self.options.sample)
            counts["sampled_out"] = total - parsed.height
        return to_rows(parsed, build_filters(self.options), self.options), rejects, counts

    def partition(self, rows: "pl.DataFrame", num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """See `Source.partition`."""
        from rejoinder.pipelines.shuffle.partition import partition

        return partition(rows, num_buckets)

    def pair_keys(self, blobs: Sequence[bytes]) -> Any:
        """See `Source.pair_keys`."""
        from rejoinder.pipelines.reddit.pairs import reddit_pair_keys

        return reddit_pair_keys(blobs, self.options)

    def process(
        self, blobs: Sequence[bytes], tokenize: "Tokenize", duplicates: Sequence[bytes]
    ) -> "Bucket":
        """See `Source.process`."""
        from rejoinder.pipelines.reddit.pairs import process_bucket

        return process_bucket(blobs, self.options, tokenize, duplicates)
