"""The list of forgotten comments and authors in a corpus, which later months must not bring back.

It holds digests with a random salt, so that it does not show who asked. Ids and names can be
guessed, and whoever has the list can test a guess: that is what an extension does with it.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rejoinder import storage
from rejoinder.corpus import thread_state
from rejoinder.errors import UserError

# Name of the file in the corpus folder.
FILE = f"{thread_state.FOLDER}/forgotten.json"
# Parent of a reply to a forgotten comment in the thread state: the id of no comment.
UNKNOWN_PARENT = ""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Forgotten:
    """Salted digests of what was forgotten.

    Attributes:
        salt: Hex digits.
        ids: Digests of ids, in hex digits.
        authors: Digests of authors' names in lower case.
    """

    salt: str
    ids: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()

    def has_id(self, value: str) -> bool:
        """Returns whether the id of a comment, without prefix, or of a submission is listed."""
        return self._digest(value) in self.ids

    def has_author(self, value: str) -> bool:
        """Returns whether the name of an author is listed."""
        return self._digest(value.lower()) in self.authors

    def add(self, ids: Iterable[str], authors: Iterable[str]) -> "Forgotten":
        """Returns the list with further ids and names."""
        return Forgotten(
            self.salt,
            self.ids.union(map(self._digest, ids)),
            self.authors.union(self._digest(name.lower()) for name in authors),
        )

    def to_bytes(self) -> bytes:
        """Returns the bytes of the file."""
        values = {"salt": self.salt, "ids": sorted(self.ids), "authors": sorted(self.authors)}
        return (json.dumps(values, indent=0) + "\n").encode()

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
        return Forgotten(values["salt"], frozenset(values["ids"]), frozenset(values["authors"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); restore it from a backup") from error
