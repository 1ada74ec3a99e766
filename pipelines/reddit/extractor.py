"""Reddit comment dumps as the input of the Beam job."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rejoinder.errors import UserError
from rejoinder.pipelines.reddit.options import ExtractOptions

if TYPE_CHECKING:
    import polars as pl

    from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary
    from rejoinder.pipelines.dumps.lines import Reject
    from rejoinder.pipelines.dumps.notes import ReadNotes
    from rejoinder.pipelines.growth.state import Growth
    from rejoinder.pipelines.shards.bucket import Bucket
    from rejoinder.pipelines.shards.encode import Tokenize


@dataclass(frozen=True)
class RedditComments:
    """A `rejoinder.pipelines.job.extractor.Extractor` of pairs of a comment and its reply.

    Attributes:
        options: The options of the extraction.
        key_file: File with the key of `--hash-authors`; "" keeps the names.
        evaluation: N-grams of the files of its `decontaminate`, from `contamination.read_grams`.
        extends: Folder and checksum of the corpus that is extended (`GrowthSpec`), whose forgotten
            comments are left out; none by default.
        duplicates_cross_buckets: See `Extractor`.
    """

    options: ExtractOptions
    key_file: str = ""
    evaluation: tuple[str, ...] = ()
    extends: tuple[str, str] | None = None
    duplicates_cross_buckets: bool = True

    def read_chunks(self, path: str, summary: "FileSummary", **options: Any) -> Iterator["Chunk"]:
        """See `Extractor.read_chunks`."""
        from rejoinder.pipelines.dumps.chunks import read_chunks

        return read_chunks(path, summary, **options)

    def read(
        self, path: str, chunk: "Chunk", notes: "ReadNotes"
    ) -> tuple["pl.DataFrame", list["Reject"], dict[str, int]]:
        """See `Extractor.read`."""
        from rejoinder.pipelines.growth.forgotten import list_of
        from rejoinder.pipelines.reddit import authors, foreign_lines, leave_out, removals
        from rejoinder.pipelines.reddit.filters import build_filters, optional_columns
        from rejoinder.pipelines.reddit.notes import find_listed, sample_filtered
        from rejoinder.pipelines.reddit.parse import parse_chunk
        from rejoinder.pipelines.reddit.rows import sample, to_rows

        parsed, rejects, blanks = parse_chunk(
            chunk, optional_columns(self.options), self.options.submissions
        )
        submissions = sum(reject.reason == "submission" for reject in rejects)
        if submissions * 2 > chunk.lines:
            raise UserError(
                f"{path}: holds submissions (RS_ files), not comments; "
                "give the RC_ file of the same month, or --submissions for both"
            )
        if chunk.index == 0 and len(rejects) * 2 > chunk.lines:
            what = foreign_lines.describe(chunk.data)
            if what:
                raise UserError(f"{path}: {what}")
        counts = {"blank_line": blanks}
        if self.extends and (forgotten := list_of(*self.extends)):
            total = parsed.height
            parsed, rejects = leave_out.leave_out(parsed, rejects, forgotten)
            counts[leave_out.FORGOTTEN_COMMENT] = total - parsed.height
        if self.options.sample < 1:
            total = parsed.height
            parsed = sample(parsed, self.options.sample)
            counts["sampled_out"] = total - parsed.height
        if self.options.drop_deleted_later:
            parsed = removals.hide(parsed)
        filters = build_filters(self.options)
        rows = to_rows(parsed, filters, self.options)
        if self.key_file:
            key = authors.key_of(self.key_file, self.options.hash_authors)
            rows = authors.hash_authors(rows, key)
            # The beginning of a line may show its author.
            rejects = [dataclasses.replace(reject, excerpt="") for reject in rejects]
        if self.options.keep_months:
            notes.count_months(rows.get_column("month"))
        if notes.with_samples:
            sample_filtered(parsed, rows.get_column("reason"), filters, notes)
        if listed := {*self.options.subreddits, *self.options.block_subreddits} - notes.matched:
            notes.matched |= find_listed(parsed, listed)
        return rows, rejects, counts

    def to_buckets(self, rows: "pl.DataFrame", num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """See `Extractor.to_buckets`."""
        from rejoinder.pipelines.shuffle.partition import partition_threads

        return partition_threads(rows, num_buckets)

    def pair_keys(self, blobs: Sequence[bytes], growth: "Growth | None" = None) -> Any:
        """See `Extractor.pair_keys`."""
        from rejoinder.pipelines.reddit.pairs import reddit_pair_keys

        return reddit_pair_keys(blobs, self.options, growth.carried if growth else None)

    def process(
        self,
        blobs: Sequence[bytes],
        tokenize: "Tokenize",
        duplicates: Sequence[bytes],
        growth: "Growth | None" = None,
    ) -> "Bucket":
        """See `Extractor.process`."""
        from rejoinder.pipelines.reddit.pairs import process_bucket

        return process_bucket(blobs, self.options, tokenize, duplicates, growth, self.evaluation)
