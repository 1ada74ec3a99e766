"""`data_config.json`: the data sets that a model trains on, and their weights.

The format is that of the original training script of the all-* models
(https://huggingface.co/sentence-transformers/all-mpnet-base-v2, `data_config.json`):
a list of `{"name": …, "weight": …, "lines": …}`, where a data set is drawn with
probability weight / sum of weights.
"""

import json
from dataclasses import dataclass

from rejoinder.errors import UserError

# The original file names data files ("reddit/RC_2015.jsonl.gz"); the corpus made of such
# a file is the folder with that name without these endings.
_FILE_ENDINGS = (".gz", ".zst", ".bz2", ".xz", ".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class DataSource:
    """One data set.

    Attributes:
        name: Corpus folder, relative to the data folder.
        weight: Weight with which it is drawn, at least 1.
        lines: Number of pairs, if the file has it.
    """

    name: str
    weight: int
    lines: int | None = None


def corpus_name(name: str) -> str:
    """Returns a name without file endings: the corpus folder, relative to the data folder."""
    while True:
        for ending in _FILE_ENDINGS:
            if name.endswith(ending):
                name = name[: -len(ending)]
                break
        else:
            return name


def parse_data_config(text: str, *, source: str = "data_config.json") -> list[DataSource]:
    """Reads the file's text.

    Raises:
        UserError: Not a non-empty list of objects with a unique `name` and an integer `weight` ≥ 1;
            the message names the entry and the key.
    """
    try:
        entries = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, source))
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise UserError(
            f'{source}: must be a non-empty list of {{"name", "weight", "lines"?}} objects'
        )
    sources = [_parse_entry(entry, f"{source}[{index}]") for index, entry in enumerate(entries)]
    names = [entry.name for entry in sources]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise UserError(
                f"{source}[{index}].name: {name!r} is listed twice; add up the weights in one entry"
            )
    return sources


def _unique(pairs: list[tuple[str, object]], source: str) -> dict[str, object]:
    """Returns an object whose keys are given once."""
    for index, (key, _) in enumerate(pairs):
        if key in (before for before, _ in pairs[:index]):
            raise UserError(f"{source}: {key!r} is given twice in {json.dumps(dict(pairs))}")
    return dict(pairs)


def _parse_entry(entry: object, where: str) -> DataSource:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: must be an object, got {type(entry).__name__}")
    unknown = sorted(set(entry) - {"name", "weight", "lines"})
    if unknown:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; the keys are name, weight, lines")
    name, weight, lines = entry.get("name"), entry.get("weight"), entry.get("lines")
    if not isinstance(name, str) or not corpus_name(name):
        raise UserError(f"{where}.name: must be a non-empty string, got {name!r}")
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
        raise UserError(f"{where}.weight: must be an integer of at least 1, got {weight!r}")
    if lines is not None and (not isinstance(lines, int) or isinstance(lines, bool) or lines < 0):
        raise UserError(f"{where}.lines: must be a whole number, got {lines!r}")
    return DataSource(corpus_name(name), weight, lines)
