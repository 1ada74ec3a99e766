"""Removes comments from the rejected lines of a corpus and from the samples of its report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rejoinder.errors import UserError
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.pipelines.reddit.excerpts import may_show

_REJECTED = "rejected/"


def clean_rejects(data: bytes, names: Names, path: str) -> tuple[bytes, int]:
    """Empties the excerpts that may show a forgotten comment; file, line and reason stay.

    Args:
        data: The file of rejected lines.
        names: What to forget.
        path: Its path, for messages.

    Returns:
        The new file, and the number of excerpts that were emptied.

    Raises:
        UserError: The file is damaged.
    """
    lines, emptied = [], 0
    for number, line in enumerate(data.splitlines(), 1):
        try:
            entry = json.loads(line)
            shows = may_show(entry["excerpt"], names)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} line {number}: is damaged; make the corpus again") from error
        if shows:
            entry["excerpt"] = ""
            line = json.dumps(entry, ensure_ascii=False).encode()
            emptied += 1
        lines.append(line + b"\n")
    return b"".join(lines), emptied


def clean_samples(
    samples: Mapping[str, Sequence[Mapping[str, Any]]], names: Names
) -> tuple[dict[str, list[Mapping[str, Any]]], int]:
    """Leaves out the samples that may show a forgotten comment.

    A sample of a filtered comment has its id and not its author: with authors to forget, all of
    them are left out.

    Args:
        samples: `samples` of `report.json`: origin and text of each, by counter.
        names: What to forget.

    Returns:
        The other samples, and the number of those that were left out.
    """
    kept = {
        counter: [sample for sample in found if not _shows(counter, sample, names)]
        for counter, found in samples.items()
    }
    total = sum(map(len, samples.values()))
    return {k: found for k, found in kept.items() if found}, total - _total(kept.values())


def _total(lists: Iterable[Sequence[Any]]) -> int:
    return sum(map(len, lists))


def _shows(counter: str, sample: Mapping[str, Any], names: Names) -> bool:
    if counter.startswith(_REJECTED):
        return may_show(sample["text"], names)
    return bool(names.authors) or names.has_id(sample["origin"])
