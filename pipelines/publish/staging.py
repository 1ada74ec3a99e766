"""Files in a job's staging folder, before they are published."""

import uuid
from typing import TypedDict

from rejoinder import storage
from rejoinder.corpus import checksums


class StagedFile(TypedDict):
    """A file in the staging folder, as JSON values.

    Attributes:
        staged: Its path.
        examples: Examples or lines in it.
        bytes: Its size.
        sha256: Its digest (hex).
    """

    staged: str
    examples: int
    bytes: int
    sha256: str


def stage(staging: str, data: bytes, examples: int) -> StagedFile:
    """Writes a file under a name that no other attempt uses.

    Args:
        staging: The staging folder.
        data: Content of the file.
        examples: Examples or lines in it.
    """
    path = storage.join(staging, f"staged-{uuid.uuid4().hex}")
    storage.write_bytes(path, data)
    return describe(path, data, examples)


def describe(path: str, data: bytes, examples: int) -> StagedFile:
    """Returns the description of a file with this content."""
    return {
        "staged": path,
        "examples": examples,
        "bytes": len(data),
        "sha256": checksums.sha256(data),
    }
