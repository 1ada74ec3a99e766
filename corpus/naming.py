"""File names inside a corpus folder."""

import re
from typing import Literal, get_args

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# Formats of the files for other programs, see `rejoinder.corpus.table_files`.
TableFormat = Literal["parquet", "jsonl", "polyai-json"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)

MANIFEST = "manifest.json"
FEATURES = "features.json"
COMPLETED = "COMPLETED"
REJECTS_FOLDER = "rejects"
REJECTS_FILE = f"{REJECTS_FOLDER}/rejects.ndjson"
TOKENIZER_FOLDER = "tokenizer"  # the tokenizer that made the token ids, for the trainer

_SHARD = re.compile(r"(?P<split>[a-z]+)\.tfrecord-(?P<index>\d{5})-of-(?P<count>\d{5})")


def shard_name(split: str, index: int, count: int) -> str:
    """Returns a shard's file name in TFDS' form, such as `train.tfrecord-00003-of-00016`."""
    if not 0 <= index < count <= 99_999:
        raise ValueError(
            f"shard index must be in [0, count) and count at most 99999, got {index} of {count}"
        )
    return f"{split}.tfrecord-{index:05d}-of-{count:05d}"


def parse_shard_name(name: str) -> tuple[str, int, int] | None:
    """Returns (split, index, count) of a shard's file name, None for other files."""
    match = _SHARD.fullmatch(name)
    return (match["split"], int(match["index"]), int(match["count"])) if match else None
