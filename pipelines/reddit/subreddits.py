"""Names of subreddits as users write them: `news`, `r/news`, links, lists and files."""

import re
from collections.abc import Iterator, Sequence

from rejoinder.errors import UserError

_SITE = re.compile(r"(?:https?://)?(?:[a-z-]+\.)*reddit\.com/(?=.)")
# `r/news`, `/r/news/comments/…`, `u/name`: the kind and the name.
_PATH = re.compile(r"/?(r|u|user)/([^/?#]+)(?:[/?#].*)?")
# Subreddits; pages of users; and the oldest subreddits, whose names had other characters.
_NAME = re.compile(r"[a-z0-9_]{2,21}|u_[a-z0-9_-]{2,20}|reddit\.com|t:[a-z0-9_]+")


def parse_names(flag: str, values: Sequence[str]) -> tuple[str, ...]:
    """Returns the subreddits that the values of an option name, in lower case and sorted.

    Args:
        flag: The option, for messages.
        values: Names, links, and lists of them separated by commas or spaces; `@FILE` is a
            file of such lists.

    Raises:
        UserError: A file cannot be read, a value has no name, or a name cannot be one of a
            subreddit.
    """
    names: set[str] = set()
    for value in values:
        text = _read(flag, value[1:]) if value.startswith("@") else value
        words = [word for word in re.split(r"[\s,]+", text) if word]
        if not words:
            raise UserError(f"{flag} {value if value.strip() else repr(value)}: names no subreddit")
        for word in words:
            names.update(_names(flag, value, word))
    return tuple(sorted(names))


def _read(flag: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"{flag} @{path}: cannot be read ({reason})") from error


def _names(flag: str, value: str, word: str) -> Iterator[str]:
    """Yields the names of one word; `r/news+pics` has two."""
    path = _SITE.sub("", word.lower(), count=1) if _SITE.match(word.lower()) else word.lower()
    found = _PATH.fullmatch(path)
    kind, text = found.groups() if found else ("r", path)
    for name in text.split("+"):
        full = f"u_{name}" if kind != "r" else name
        if not _NAME.fullmatch(full):
            where = f" {value}" if value.startswith("@") else ""
            raise UserError(
                f"{flag}{where}: {word!r} is not the name of a subreddit, which has 2 to 21 "
                "letters, digits and underscores"
            )
        yield full
