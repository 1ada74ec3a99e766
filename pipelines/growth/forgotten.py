"""The list of forgotten comments and authors in a corpus, which later months must not bring back.

It holds digests with a random salt, so that it does not show who asked. Ids and names can be
guessed, and whoever has the list can test a guess: that is what an extension does with it. So that
an extension need not make a digest of each id that it reads, the list also has 20 bits of a fast
hash of each entry.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus import thread_state
from rejoinder.errors import UserError
from rejoinder.pipelines.shuffle import hashing

# Name of the file in the corpus folder.
FILE = f"{thread_state.FOLDER}/forgotten.json"
# Parent of a reply to a forgotten comment in the thread state: the id of no comment.
UNKNOWN_PARENT = ""
_DIGEST_BYTES = 16
_SIEVE_BITS = 20


@dataclass(frozen=True)
class Forgotten:
    """Salted digests of what was forgotten.

    Attributes:
        salt: Hex digits.
        ids: Digests of ids, in hex digits.
        authors: Digests of authors' names in lower case.
        sieve: 20 bits of another hash of each of these.
    """

    salt: str
    ids: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    sieve: frozenset[int] = frozenset()

    def has_id(self, value: str) -> bool:
        """Returns whether the id of a comment, without prefix, or of a submission is listed."""
        return self._digest(value) in self.ids

    def has_author(self, value: str) -> bool:
        """Returns whether the name of an author is listed."""
        return self._digest(value.lower()) in self.authors

    def find_ids(self, values: pl.Series) -> list[str]:
        """Returns those of the ids, string [n] with nulls, that are listed."""
        distinct = values.drop_nulls().unique()
        return list(filter(self.has_id, distinct.filter(self._passes(distinct))))

    def find_authors(self, values: pl.Series) -> list[str]:
        """Returns those of the names, string [n] with nulls, that are listed."""
        distinct = values.drop_nulls().unique()
        lower = pl.Series([name.lower() for name in distinct], dtype=pl.String)
        return list(filter(self.has_author, distinct.filter(self._passes(lower))))

    def add(self, ids: Iterable[str], authors: Iterable[str]) -> "Forgotten":
        """Returns the list with further ids and names."""
        new_ids, new_authors = [*ids], [name.lower() for name in authors]
        bits = self._bits(pl.Series([*new_ids, *new_authors], dtype=pl.String))
        return Forgotten(
            self.salt,
            self.ids.union(map(self._digest, new_ids)),
            self.authors.union(map(self._digest, new_authors)),
            self.sieve.union(bits.tolist()),
        )

    def to_bytes(self) -> bytes:
        """Returns the bytes of the file."""
        values = {
            "salt": self.salt,
            "ids": sorted(self.ids),
            "authors": sorted(self.authors),
            "sieve": sorted(self.sieve),
        }
        return (json.dumps(values, indent=0) + "\n").encode()

    def _passes(self, values: pl.Series) -> pl.Series:
        """Returns bool [n], false for most values that are not listed."""
        return pl.Series(np.isin(self._bits(values), np.array([*self.sieve], np.uint64)))

    def _bits(self, values: pl.Series) -> NDArray[np.uint64]:
        hashes = hashing.hash_strings(values, int(self.salt[:8], 16))
        return hashes >> np.uint64(64 - _SIEVE_BITS)

    def _digest(self, value: str) -> str:
        data = f"{self.salt}{value}".encode()
        return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def new_list() -> Forgotten:
    """Returns an empty list with a salt of its own."""
    return Forgotten(secrets.token_hex(_DIGEST_BYTES))


@lru_cache(maxsize=1)
def list_of(corpus: str, checksum: str) -> Forgotten | None:
    """Returns the list of a corpus, read once in each process; None if it has none.

    Args:
        corpus: Folder of the corpus.
        checksum: Names the state of the corpus, see `GrowthSpec.checksum`.
    """
    path = storage.join(corpus, FILE)
    return read_list(path) if storage.exists(path) else None


def read_list(path: str) -> Forgotten:
    """Reads the file.

    Raises:
        UserError: It is missing or damaged.
    """
    try:
        values = json.loads(storage.read_bytes(path))
        return Forgotten(
            values["salt"],
            *(frozenset(values[name]) for name in ("ids", "authors", "sieve")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); restore it from a backup") from error
