"""The thread state of a corpus: the comments that those of later months may need.

A folder inside the corpus, with one Parquet file for each bucket of the run that wrote it.
Its files are listed in `COMPLETED` with their checksums, as all others are.
"""

FOLDER = "state"


def file_name(index: int, count: int) -> str:
    """Returns the name of a bucket's file, relative to the corpus folder."""
    return f"{FOLDER}/threads-{index:05d}-of-{count:05d}.parquet"
