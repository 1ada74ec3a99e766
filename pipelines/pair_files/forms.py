"""The forms in which data sets store pairs of texts, and the pairs that a row of each gives.

They are those of
https://huggingface.co/datasets/sentence-transformers/embedding-training-data and the
column names that data sets for sentence-transformers use.
"""

from collections.abc import Collection, Sequence
from typing import Any

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.lines import BadLineError, check_text

# Keys of the two sides; of several that a row has, the first in this order counts.
FORMS = (
    ("context", "response"),
    ("query", "pos"),
    ("anchor", "positive"),
    ("question", "answer"),
    ("sentence1", "sentence2"),
    ("title", "body"),
)
SET = "set"
_MAX_KEYS, _MAX_KEY_CHARS = 20, 40

Pairs = list[tuple[str, str]]


def choose_keys(keys: Collection[str], columns: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Returns the keys that hold a row's pairs, None if the row has none of them.

    Args:
        keys: All keys of the row.
        columns: The two keys that the user named; empty accepts every form.

    Returns:
        The keys of both sides, or the key of a set.
    """
    if columns:
        return tuple(columns) if all(column in keys for column in columns) else None
    if SET in keys:
        return (SET,)
    return next((form for form in FORMS if form[0] in keys and form[1] in keys), None)


def pairs_of(value: object, columns: Sequence[str] = ()) -> Pairs:
    """Returns the pairs of one row.

    An array gives its first two texts; what follows (a negative, a score) is not read.
    A list of positives gives a pair with each. A set gives its first text with each
    other one: the number of pairs grows with the set, not with its square, and all of
    them have the same context, so they are in one split and the loss does not take
    texts of one set for negatives of each other.

    Args:
        value: The JSON value of the row.
        columns: See `choose_keys`; in an array, positions from 1.

    Raises:
        BadLineError: The row is not in a known form, or a side is not a text.
    """
    if isinstance(value, list):
        sides = _items(value, columns)
    elif isinstance(value, dict) and (keys := choose_keys(value, columns)):
        sides = [value[key] for key in keys]
    else:
        raise BadLineError("not_a_pair")
    if len(sides) == 1:
        context, responses = _split_set(sides[0])
    else:
        context, responses = sides
    if not isinstance(responses, list):
        responses = [responses]
    if not responses:
        raise BadLineError("not_a_pair")
    first = _text(context)
    return [(first, _text(response)) for response in responses]


def _items(value: list[Any], columns: Sequence[str]) -> list[Any]:
    positions = [int(column) if column.isdecimal() else 0 for column in columns or "12"]
    if not all(0 < position <= len(value) for position in positions):
        raise BadLineError("not_a_pair")
    return [value[position - 1] for position in positions]


def _split_set(texts: object) -> tuple[Any, list[Any]]:
    """Returns the first text of a set and the others, without repetitions."""
    if not isinstance(texts, list):
        raise BadLineError("wrong_type")
    distinct = list(dict.fromkeys(map(_text, texts)))
    if not distinct:
        raise BadLineError("not_a_pair")
    return distinct[0], distinct[1:]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadLineError("wrong_type")
    if not value.strip():
        raise BadLineError("empty_text")
    return check_text(value)


def unknown_keys_error(path: str, found: Collection[str], columns: Sequence[str] = ()) -> UserError:
    """Returns the error of a file whose rows do not have the keys of a pair.

    Args:
        path: The file.
        found: The keys of its first row, or its columns.
        columns: The keys that the user named.
    """
    if columns:
        return UserError(f"{path}: has the keys {_list(found)}, not both {_list(columns)}")
    wanted = ", ".join(" + ".join(form) for form in FORMS)
    return UserError(
        f"{path}: has the keys {_list(found)}; wanted are {SET} or {wanted}; "
        "name the two to read with --columns A B (1 2 if there is no header)"
    )


def _list(keys: Collection[str]) -> str:
    shown = [key[:_MAX_KEY_CHARS] for key in list(keys)[:_MAX_KEYS]]
    return ", ".join([*shown, *(["…"] if len(keys) > _MAX_KEYS else [])]) or "(none)"
