"""The specification of a job and the keys of its shuffle, which all steps use."""

from collections.abc import Iterable
from dataclasses import dataclass

from rejoinder.pipelines.job import disk_shuffle
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
        shuffle_folder: Local folder for the shuffle's data; None leaves them to the runner.
        keep_damaged: Whether to use the readable part of a damaged archive.
        max_bad_ratio: Largest share of lines that may be rejected.
        with_samples: Whether the report shows texts that were dropped.
    """

    extractor: Extractor
    num_buckets: int
    max_length: int
    limit: int
    drop_duplicates: bool
    staging: str
    shuffle_folder: str | None
    keep_damaged: bool
    max_bad_ratio: float
    with_samples: bool


def load_blobs(spec: JobSpec, blobs: Iterable[bytes]) -> list[bytes]:
    """Returns the blobs of a bucket, read from disk if the job shuffles on disk."""
    if spec.shuffle_folder is None:
        return list(blobs)
    return [disk_shuffle.read(spec.shuffle_folder, blob) for blob in blobs]
