"""Which files the list in a corpus folder names."""

import json

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.naming import COMPLETED, MANIFEST
from rejoinder.errors import UserError
from rejoinder.output import FolderKind


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of a finished corpus' files, None if there is no finished corpus.

    A corpus of an earlier format version counts too.

    Args:
        folder: The corpus folder, on any file system of `rejoinder.storage`.
    """
    completed = storage.join(folder, COMPLETED)
    if not storage.exists(completed):
        return None
    digests = checksums.from_text(storage.read_bytes(completed).decode("utf-8", "replace"))
    manifest = storage.join(folder, MANIFEST)
    if MANIFEST not in digests or not storage.exists(manifest):
        return None
    try:
        values = json.loads(storage.read_bytes(manifest))
        is_corpus = {"format_version", "splits", "counters"} <= values.keys()
    except (ValueError, AttributeError, UserError):  # another program's
        return None
    return frozenset({COMPLETED, *digests}) if is_corpus else None


CORPUS = FolderKind("corpus", listed_files)
