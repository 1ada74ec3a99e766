"""Finds out whether the excerpt of a rejected line may show a comment that was forgotten."""

import re
from collections.abc import Collection
from typing import Protocol

_ID = re.compile(r'"(?:id|name)"\s*:\s*"[^"]+"')
_AUTHOR = re.compile(r'"author"\s*:\s*"[^"]+"')
_WORD = re.compile(r"[\w-]+")


class Forgetting(Protocol):
    """Ids and authors that were forgotten, in plain text or as digests."""

    @property
    def authors(self) -> Collection[str]:
        """The authors, in the form of the implementation."""

    def has_id(self, value: str) -> bool:
        """Returns whether an id is one of them."""

    def has_author(self, value: str) -> bool:
        """Returns whether a name is one of them."""


def may_show(excerpt: str, forgetting: Forgetting) -> bool:
    """Returns whether an excerpt names a forgotten comment or author, or does not name its own.

    An excerpt is the first 120 bytes of a line, so the id of the comment may be behind its end.

    Args:
        excerpt: The beginning of a line.
        forgetting: What was forgotten.
    """
    if not excerpt:
        return False
    if not _ID.search(excerpt) or (forgetting.authors and not _AUTHOR.search(excerpt)):
        return True
    words = (word.removeprefix("t1_") for word in _WORD.findall(excerpt))
    return any(forgetting.has_id(word) or forgetting.has_author(word) for word in words)
