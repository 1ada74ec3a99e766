"""The text of `COMPLETED`: the sha256 of every other file of a corpus.

The manifest holds the checksums of the shards, but cannot hold its own. The format is
that of coreutils, so `sha256sum -c COMPLETED`, run in the folder, checks a corpus
without this project.
"""

import hashlib
from collections.abc import Mapping

_SEPARATOR = "  "


def sha256(data: bytes) -> str:
    """Returns the hex digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


def to_text(digests: Mapping[str, str]) -> str:
    """Returns one line per file, sorted by name; names are relative to the corpus folder."""
    return "".join(f"{digest}{_SEPARATOR}{name}\n" for name, digest in sorted(digests.items()))


def from_text(text: str) -> dict[str, str]:
    """Returns the digest by name, from `to_text`'s result; other lines are ignored."""
    lines = (line.partition(_SEPARATOR) for line in text.splitlines())
    return {name: digest for digest, separator, name in lines if separator}
