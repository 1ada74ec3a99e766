"""`--hash-authors`: keyed hashes in place of the names of authors.

The workers read the key from its file: as a part of the job it would be written to the staging
folder of a cluster.
"""

import hmac
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from rejoinder import storage
from rejoinder.errors import UserError

if TYPE_CHECKING:  # the command limits the threads of polars before its import
    import polars as pl

FLAG = "--hash-authors"
_KEY_BYTES = range(16, (64 << 10) + 1)
# Hex digits of a hash, 128 bits: the probability that any two of 10^9 authors have the same hash
# is 10^-21.
_DIGITS = 32
_FINGERPRINT_DIGITS = 16
_FINGERPRINT_OF = "\0key"  # no author's name has a NUL
# What dumps have in place of the name of a deleted account; it names nobody.
_NOBODY = "[deleted]"
# Begins the name of a subreddit that is the page of one user, whose name follows.
_PAGE_OF_USER = "u_"


def read_key(path: str) -> bytes:
    """Returns the key in a file.

    Args:
        path: The file, on any file system of `rejoinder.storage`.

    Raises:
        UserError: There is no such file, or it is too short or too long for a key.
    """
    if not path:
        raise UserError(f"{FLAG}: is empty; name a file with a key")
    if not storage.exists(path):
        raise UserError(f"{FLAG} {path}: does not exist; make it with `head -c 32 /dev/urandom`")
    if storage.is_local(path) and os.path.isdir(path):
        raise UserError(f"{FLAG} {path}: is a folder; name a file with a key")
    size = storage.size(path)
    if size not in _KEY_BYTES:
        raise UserError(
            f"{FLAG} {path}: has {size:,} bytes, a key has {_KEY_BYTES[0]} to {_KEY_BYTES[-1]:,}; "
            "make it with `head -c 32 /dev/urandom`"
        )
    return storage.read_bytes(path)


def hash_name(name: str, key: bytes) -> str:
    """Returns the first 32 hex digits of HMAC-SHA-256 of a name in UTF-8."""
    return hmac.digest(key, name.encode(), "sha256").hex()[:_DIGITS]


def fingerprint(key: bytes) -> str:
    """Returns 16 hex digits by which two keys differ and from which neither follows."""
    return hash_name(_FINGERPRINT_OF, key)[:_FINGERPRINT_DIGITS]


@lru_cache(maxsize=1)
def key_of(path: str, expected: str) -> bytes:
    """Returns the key in a file, read once in each process.

    Raises:
        UserError: The key is not the one with this fingerprint.
    """
    key = read_key(path)
    if fingerprint(key) != expected:
        raise UserError(f"{FLAG} {path}: was changed during the run; start it again")
    return key


def hash_authors(rows: "pl.DataFrame", key: bytes) -> "pl.DataFrame":
    """Replaces names by hashes in the columns `author` and `subreddit`.

    `[deleted]` stays. The name of a user's page, `u_NAME`, becomes `u_` and the hash.

    Args:
        rows: Rows of the shuffle, from `rows.to_rows`.
        key: From `read_key`.
    """
    author, subreddit = rows.get_column("author"), rows.get_column("subreddit")
    names = (name for name in _distinct(author) if name != _NOBODY)
    hashes = {name: hash_name(name, key) for name in names}
    pages = {
        name: name[:2] + hash_name(name[2:], key)
        for name in _distinct(subreddit)
        if name.lower().startswith(_PAGE_OF_USER)
    }
    return rows.with_columns(_replaced(author, hashes), _replaced(subreddit, pages))


def _distinct(names: "pl.Series") -> Iterable[str]:
    return names.drop_nulls().unique().to_list()


def _replaced(names: "pl.Series", new: dict[str, str]) -> "pl.Series":
    return names.replace(list(new), list(new.values())) if new else names
