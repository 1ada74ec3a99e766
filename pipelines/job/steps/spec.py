"""The specification of a job and the keys of its shuffle, which all steps use."""

from dataclasses import dataclass

from rejoinder.corpus.table_files import TableFiles
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.job.extractor import Extractor

# The shuffle key of the readers' reports; the keys of buckets are 0 and above.
REPORT = -1
# First byte of a value that reaches WriteBucket in a job that drops duplicates.
ROWS, DUPLICATES = b"r", b"d"


@dataclass(frozen=True)
class JobSpec:
    """Everything that the workers need to know.

    Attributes:
        extractor: Reads lines and makes pairs.
        num_buckets: Buckets of the shuffle, shards of each split.
        max_length: Most token ids per side.
        limit: Lines read of each file; 0 reads all.
        drop_duplicates: Whether equal pairs are kept once in the whole corpus.
        staging: Folder of all files before publication.
        on_disk: Whether all workers share the local disk of the staging folder. Steps then
            exchange files and keep records there; otherwise everything crosses the runner.
        keep_damaged: Whether to use the readable part of a damaged archive.
        max_bad_ratio: Largest share of lines that may be rejected.
        with_samples: Whether the report shows texts that were dropped.
        tables: The files for other programs beside the shards; None writes none.
        growth: The thread state of a corpus that can grow; None keeps none.
    """

    extractor: Extractor
    num_buckets: int
    max_length: int
    limit: int
    drop_duplicates: bool
    staging: str
    on_disk: bool
    keep_damaged: bool
    max_bad_ratio: float
    with_samples: bool
    tables: TableFiles | None
    growth: GrowthSpec | None = None
