"""The comments and authors to forget: their files, and how they are compared."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.reddit.authors import hash_name, read_key

_AN_ID = "the id of a comment, such as t1_c0ffee"
_ID = re.compile(r"(?:t1_)?((?:t3_)?[0-9a-z]+)")
_AUTHOR = re.compile(r"[^\s/]+")


@dataclass(frozen=True)
class Names:
    """What to forget.

    Attributes:
        ids: Ids as a corpus stores them: of comments without prefix, of submissions with `t3_`.
        authors: Names of authors in lower case, because Reddit does not tell it from upper case.
        hashes: What a corpus of `--hash-authors` has in place of these names.
    """

    ids: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()

    def has_id(self, value: str) -> bool:
        """Returns whether an id is one of these."""
        return value in self.ids

    def has_author(self, value: str) -> bool:
        """Returns whether a name is one of these."""
        return value.lower() in self.authors

    def has_stored_author(self, value: str) -> bool:
        """Returns whether a name or a hash in the place of one is one of these."""
        return value in self.hashes or self.has_author(value)

    def with_ids(self, ids: Iterable[str]) -> "Names":
        """Returns these and further ids."""
        return dataclasses.replace(self, ids=self.ids | frozenset(ids))


def read_names(ids: str | None, authors: str | None, key: str | None) -> Names:
    """Reads the files of the command line.

    Args:
        ids: File with one id a line: `t1_abc` or `abc` of a comment, `t3_abc` of a submission.
        authors: File with one name a line, in the spelling of the dumps if there is a key.
        key: File of `--hash-authors`.

    Raises:
        UserError: A file is missing or has no names, or a line is not one.
    """
    listed = _read_lines(authors, "--authors", _AUTHOR, "an author's name") if authors else []
    secret = read_key(key) if key else None
    return Names(
        frozenset(_read_lines(ids, "--ids", _ID, _AN_ID) if ids else ()),
        frozenset(name.lower() for name in listed),
        frozenset(hash_name(name, secret) for name in listed) if secret else frozenset(),
    )


def _read_lines(path: str, flag: str, form: re.Pattern[str], what: str) -> list[str]:
    if not storage.exists(path):
        raise UserError(f"{flag} {path}: does not exist")
    try:
        text = storage.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{flag} {path}: is not UTF-8 (byte {error.start})") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        value = line.strip()
        if not value:
            continue
        match = form.fullmatch(value)
        if match is None:
            raise UserError(f"{flag} {path} line {number}: {value[:40]!r} is not {what}")
        found.append(match[match.lastindex or 0])
    if not found:
        raise UserError(f"{flag} {path}: is empty; write {what} on each line")
    return found
