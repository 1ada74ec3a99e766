"""Reads settings from text: YAML, or `a.b=1,c=2`, with one grammar of numbers.

A number is written as in Python, in base ten: `20`, `1_000_000`, `.5`, `2e-5`. YAML 1.1
would read `2e-5` as text, `010` as 8 and `1:30` as 90.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from rejoinder.errors import UserError

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_INTEGER = re.compile(rf"[-+]?{_DIGITS}$")
_FLOAT = re.compile(
    rf"[-+]?(?:{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS}|{_DIGITS}(?=[eE]))(?:[eE][-+]?{_DIGITS})?$"
)
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*=")


def parse_yaml(text: str, source: str) -> Any:
    """Returns the value of a YAML or JSON text.

    Args:
        text: The text.
        source: Where the text is from, for errors.

    Raises:
        UserError: The text is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except _DuplicateKey as error:
        raise UserError(f"{source}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{source}: not YAML ({' '.join(str(error).split())})") from error


def is_assignments(text: str) -> bool:
    """Returns whether a text has the form `a.b=1,c=2`."""
    return _ASSIGNMENT.match(text) is not None


def parse_assignments(text: str, source: str) -> dict[str, Any]:
    """Returns the nested keys and values of `a.b=1,c=2`.

    A comma separates two assignments only if a key and `=` follow it, so that a list needs
    no brackets: `dims=256,128,steps=5`.

    Raises:
        UserError: A value is not YAML, or a key is given twice.
    """
    result: dict[str, Any] = {}
    for key, value in _assignments(text):
        *groups, name = key.split(".")
        group = result
        for part in groups:
            group = group.setdefault(part, {})
            if not isinstance(group, dict):
                raise UserError(f"{source}: {key} is inside a key that has a value; give one")
        if name in group:
            raise UserError(f"{source}: {key} is given twice")
        group[name] = parse_yaml(value, f"{source}: {key}")
    return result


def parse_list(text: str, source: str) -> list[Any]:
    """Returns the elements of a list without brackets, `256,128`."""
    return [parse_yaml(part, source) for part in text.split(",")]


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yields each key and the text of its value."""
    match = _ASSIGNMENT.match(text)
    while match:
        end = _end_of_value(text, match.end())
        yield match[1], text[match.end() : end].strip()
        match = _ASSIGNMENT.match(text, end + 1)


def _end_of_value(text: str, start: int) -> int:
    """Returns the position of the comma before the next assignment, outside of brackets."""
    depth, quote, before = 0, "", "="
    for position in range(start, len(text)):
        character = text[position]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and before in "=,[{: ":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth <= 0 and _ASSIGNMENT.match(text, position + 1):
            return position
        before = character
    return len(text)


class _DuplicateKey(yaml.YAMLError):
    """A key that its group has already; YAML would take the last value and say nothing."""


class _Loader(yaml.SafeLoader):
    """Reads numbers in this module's grammar and dates as text, and refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Returns the keys and values of a group."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            # `<<` includes other groups, and a key that is not a scalar is an error below.
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in lines:
                    raise _DuplicateKey(
                        f"{key.value} is given twice, in lines {lines[key.value]} and {line}"
                    )
                lines[key.value] = line
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"
_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern in (("int", _INTEGER), ("float", _FLOAT)):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))
