"""The comments and authors to forget: their files, and how they are compared."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError

_ID = re.compile(r"(?:t1_)?((?:t3_)?[0-9a-z]+)")
_AUTHOR = re.compile(r"[^\s/]+")


@dataclass(frozen=True)
class Names:
    """What to forget.

    Attributes:
        ids: Ids as a corpus stores them: of comments without prefix, of submissions with `t3_`.
        authors: Names of authors, from `author_key`.
    """

    ids: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()

    def has_id(self, value: str) -> bool:
        """Returns whether an id is one of these."""
        return value in self.ids

    def has_author(self, value: str) -> bool:
        """Returns whether a name is one of these."""
        return author_key(value) in self.authors

    def with_ids(self, ids: Iterable[str]) -> "Names":
        """Returns these and further ids."""
        return Names(self.ids | frozenset(ids), self.authors)


def author_key(name: str) -> str:
    """Returns a name as it is compared: Reddit does not tell upper from lower case."""
    return name.lower()


def read_ids(path: str) -> frozenset[str]:
    """Reads a file with one id a line, `t1_abc` or `abc` of a comment, `t3_abc` of a submission.

    Raises:
        UserError: The file is missing or has no ids, or a line is not one.
    """
    return frozenset(_read_lines(path, "--ids", _ID, "the id of a comment, such as t1_c0ffee"))


def read_authors(path: str) -> frozenset[str]:
    """Reads a file with one name of an author a line.

    Raises:
        UserError: The file is missing or has no names, or a line is not one.
    """
    return frozenset(map(author_key, _read_lines(path, "--authors", _AUTHOR, "an author's name")))


def _read_lines(path: str, flag: str, form: re.Pattern[str], what: str) -> Iterable[str]:
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
