"""What all steps of the job share: the specification, and the keys of the shuffle."""

from collections.abc import Iterable
from dataclasses import dataclass

from rejoinder.pipelines.job import disk_shuffle
from rejoinder.pipelines.job.extractor import Extractor

# The shuffle key of the readers' reports; buckets count from 0.
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
        staging: Folder that is written to before publication.
        spill_folder: Local folder for the shuffle's data, None leaves them to the runner.
        keep_damaged: Take what a damaged archive still gives.
        max_bad_ratio: Largest share of lines that may be rejected.
    """

    extractor: Extractor
    num_buckets: int
    max_length: int
    limit: int
    drop_duplicates: bool
    staging: str
    spill_folder: str | None
    keep_damaged: bool
    max_bad_ratio: float


def resolve(spec: JobSpec, blobs: Iterable[bytes]) -> list[bytes]:
    """Returns the blobs of a bucket, read from the spill folder where there is one."""
    if spec.spill_folder is None:
        return list(blobs)
    return [disk_shuffle.read(spec.spill_folder, blob) for blob in blobs]
