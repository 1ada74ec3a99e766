"""The interface between the Beam job and a kind of input (Reddit dumps, pair files)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary
    from rejoinder.pipelines.dumps.lines import Reject
    from rejoinder.pipelines.dumps.notes import ReadNotes
    from rejoinder.pipelines.growth.state import Growth
    from rejoinder.pipelines.shards.bucket import Bucket
    from rejoinder.pipelines.shards.encode import Tokenize


class Extractor(Protocol):
    """Converts lines to rows, rows to buckets, and a bucket to shards.

    Implementations are small and picklable, because Beam sends them to the workers.

    Attributes:
        duplicates_cross_buckets: Whether equal pairs may be in different buckets.
    """

    @property
    def duplicates_cross_buckets(self) -> bool:
        """See the class."""

    def read_chunks(self, path: str, summary: "FileSummary", **options: Any) -> Iterator["Chunk"]:
        """Yields the chunks of a file, as `rejoinder.pipelines.dumps.chunks.read_chunks` does.

        Args:
            path: Local path or URL of the file.
            summary: Updated while the file is read.
            **options: The keyword arguments of that function.
        """

    def read(
        self, path: str, chunk: "Chunk", notes: "ReadNotes"
    ) -> tuple["pl.DataFrame", list["Reject"], dict[str, int]]:
        """Parses and filters one chunk of a file.

        Args:
            path: The file, for error messages.
            chunk: Whole lines of the file.
            notes: Updated with samples of what was dropped.

        Returns:
            The rows, the rejected lines, and counts of lines that end here. Rows +
            rejected lines + counts = the chunk's lines.
        """

    def to_buckets(self, rows: "pl.DataFrame", num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """Yields (bucket, Arrow blob) for every bucket in [0, num_buckets) that has rows."""

    def pair_keys(self, blobs: Sequence[bytes], growth: "Growth | None" = None) -> Any:
        """Returns the keys of a bucket's pairs, for `rejoinder.pipelines.shuffle.duplicates`."""

    def process(
        self,
        blobs: Sequence[bytes],
        tokenize: "Tokenize",
        duplicates: Sequence[bytes],
        growth: "Growth | None" = None,
    ) -> "Bucket":
        """Makes the shards of one bucket.

        Args:
            blobs: All blobs of the bucket, in any order.
            tokenize: Texts to token ids.
            duplicates: Blobs that name the pairs to leave out.
            growth: What a corpus that can grow needs; None for any other.

        Returns:
            The shards by split, the counters and the statistics.
        """
