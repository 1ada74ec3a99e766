"""`--options FILE`: the options of a command in a YAML file, or those of an earlier run's manifest.

The values become arguments before those of the command line, so that both are parsed and
checked by the same rules. An option on the command line replaces that of the file.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from rejoinder import storage
from rejoinder.corpus.naming import TOKENIZER_FOLDER
from rejoinder.errors import UserError

_FLAG = "--options"
# Options in a manifest that no argument sets: they follow from others.
_DERIVED = ("context_ids", "evaluation_sha256")
# Options that name a file with a secret, of which a manifest has only a fingerprint.
_SECRET = ("hash_authors",)


def add_argument(parser: argparse._ActionsContainer) -> None:
    """Adds --options."""
    parser.add_argument(
        _FLAG,
        metavar="FILE",
        help="YAML file of options, such as `min_chars: 5`, or the manifest.json of a corpus, to "
        "repeat its run; options on the command line replace those of the file",
    )


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> tuple[argparse.Namespace, list[str]]:
    """Parses a command line and the file of options that it names.

    Args:
        parser: With all options of the command.
        argv: The command line; None is that of this process.

    Returns:
        The values, and the arguments that are not the parser's.

    Raises:
        UserError: The file cannot be read, or names an option that the command lacks.
    """
    argv = sys.argv[1:] if argv is None else argv
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_argument(finder)
    path = finder.parse_known_args(argv)[0].options
    if path is None:
        return parser.parse_known_args(argv)
    given = {argument.partition("=")[0] for argument in argv}
    arguments = [
        argument
        for name, value in _read(path, given).items()
        for argument in _arguments(parser, path, name, value, given)
    ]
    return parser.parse_known_args([*arguments, *argv])


def _read(path: str, given: set[str]) -> Mapping[str, Any]:
    if not storage.exists(path):
        raise UserError(f"{_FLAG} {path}: does not exist")
    try:
        values = yaml.safe_load(storage.read_bytes(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{_FLAG} {path}{where}: is not YAML; write `name: value` lines") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{_FLAG} {path}: is not a mapping; write `name: value` lines")
    is_manifest = {"format_version", "options", "inputs"} <= values.keys()
    return _of_manifest(path, values, given) if is_manifest else values


def _of_manifest(path: str, manifest: Mapping[str, Any], given: set[str]) -> Mapping[str, Any]:
    """Returns the options of the run that wrote a manifest; its tokenizer is beside it."""
    options = manifest["options"]
    for flag in (_flag(name) for name in _SECRET if options.get(name)):
        if flag not in given:
            raise UserError(
                f"{_FLAG} {path}: the corpus was made with {flag}, and the file is not in the "
                f"manifest; give {flag} with the same file again"
            )
    values = {k: v for k, v in options.items() if k not in (*_DERIVED, *_SECRET)}
    values["input"] = [entry["path"] for entry in manifest["inputs"]]
    if any("damage" in entry for entry in manifest["inputs"]):
        values["on_truncated"] = "keep"
    tokenizer = storage.join(path.rpartition("/")[0], TOKENIZER_FOLDER)
    return values | ({"tokenizer": tokenizer} if storage.exists(tokenizer) else {})


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _arguments(
    parser: argparse.ArgumentParser, path: str, name: str, value: Any, given: set[str]
) -> Iterator[str]:
    """Yields the arguments of one option, none if the command line or the default sets it."""
    flag = _flag(name)
    action = parser._option_string_actions.get(flag)
    if action is None or flag in (_FLAG, "--help"):
        known = [option[2:] for option in parser._option_string_actions if option != _FLAG]
        near = difflib.get_close_matches(flag[2:], known, 1)
        hint = f"did you mean {near[0]}" if near else "see --help"
        raise UserError(f"{_FLAG} {path}: {name} is not an option of {parser.prog}; {hint}")
    if given & {*action.option_strings} or value is None or value == []:
        return
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UserError(f"{_FLAG} {path}: {name} must be true or false, got {value!r}")
        if value:
            yield flag
    elif isinstance(value, list):
        yield flag
        yield from map(str, value)
    elif isinstance(value, dict | bool):
        raise UserError(f"{_FLAG} {path}: {name} must be a text, a number or a list, got {value!r}")
    elif value != "" or action.default != "":
        yield f"{flag}={value}"
