"""Times of comments, and those that options name."""

import datetime
import re

from rejoinder.errors import UserError

_MONTH = re.compile(r"[0-9]{4}(-[0-9]{2})?")


def iso_seconds(text: str) -> float | None:
    """Returns the seconds since 1970 of a time in ISO 8601; without a time zone it is in UTC."""
    try:
        time = datetime.datetime.fromisoformat(text.strip().removesuffix(" UTC"))
        return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def read_time(flag: str, text: str) -> float:
    """Returns the seconds since 1970 of an option's value.

    Args:
        flag: The option, for messages.
        text: A year, a month, a day or a time in ISO 8601, in UTC unless it names a zone.

    Raises:
        UserError: The text is none of these.
    """
    whole = text.strip()
    if _MONTH.fullmatch(whole):
        whole = f"{whole}-01" if "-" in whole else f"{whole}-01-01"
    seconds = iso_seconds(whole)
    if seconds is None:
        raise UserError(
            f"{flag} {text}: is not a time; write 2006, 2006-01, 2006-01-31 or 2006-01-31T12:00:00"
        )
    return seconds
