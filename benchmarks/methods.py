"""One table of all methods of an experiment, from their evaluations and training runs.

    python -m benchmarks.methods EVALUATION… [--strip PREFIX…]

An EVALUATION is the report of `rejoinder evaluate`: its folder, its evaluation.json, or the folder
of a run that holds it. All must be of the same pairs and have the same first model, with which the
others are compared. Pairs, minutes and command of a trained model, also with earlier turns or a
map, come from `training.json` in its folder. The table holds every method, the best first: one that
is worse than the first model has its row, too.
"""

import argparse
import json
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rejoinder import cli, storage
from rejoinder.errors import UserError
from rejoinder.models.model_dir import EVALUATION_FIGURES, EVALUATION_FOLDER, TRAINING_REPORT
from rejoinder.tables import markdown_table

# What two evaluations must agree on for their accuracies to be those of the same batches.
_SAME = ("pairs", "batches", "candidates", "distinct_responses", "deduplicate", "seed", "splits")
_NONE = "-"


@dataclass(frozen=True)
class Row:
    """A method.

    Attributes:
        name: Name in the table.
        ranking: Its entry in the evaluation's `ranking`.
        command: The command that made it.
        folder: Folder of the run that trained it; None for what was not trained, and for a model
            that is scored in another way than by its embeddings alone.
        spearman: Spearman's correlation by file of scored sentence pairs.
        pairs: Pairs trained on, repetitions included; None for what was not trained.
        seconds: Seconds of the training steps; None likewise.
    """

    name: str
    ranking: dict[str, Any]
    command: str
    folder: str | None = None
    spearman: dict[str, float] = field(default_factory=dict)
    pairs: int | None = None
    seconds: float | None = None


def read_rows(paths: Sequence[str]) -> list[Row]:
    """Reads the methods of all evaluations, each method once.

    Args:
        paths: Reports of `rejoinder evaluate`: folders, their evaluation.json, or folders of runs.

    Raises:
        UserError: A report is missing or is not one, has no response selection, or was made on
            other pairs or with another first model than the first report; or two methods have
            the same name and other figures.
    """
    rows: dict[str, Row] = {}
    first: tuple[str, dict[str, Any]] | None = None
    for given in paths:
        path, report = _read(given)
        first = first or (path, report)
        _check_same(first, (path, report))
        for entry in report["ranking"]:
            row = _row(entry, report)
            known = rows.setdefault(row.name, row)
            if known.ranking["accuracy"] != row.ranking["accuracy"]:
                raise UserError(
                    f"{path}: {row.name} has another accuracy than in an earlier report; "
                    "name the models apart with `rejoinder evaluate --model NAME=PATH`"
                )
            if row.spearman and not known.spearman:
                rows[row.name] = row
    return list(rows.values())


def render(rows: Sequence[Row], strip: Sequence[str] = ()) -> str:
    """Returns the table, the best method first, and each command with the numbers of its rows.

    Args:
        rows: The methods; the one without a gain is that with which the others are compared.
        strip: Beginnings of paths that are left out of the commands.
    """
    ordered = sorted(rows, key=lambda row: (-(row.ranking["accuracy"] or 0.0), row.name))
    reference = next((r.name for r in rows if _is_reference(r)), "")
    sets = sorted({name for row in rows for name in row.spearman})
    header = ["", "method", "pairs", "minutes", "1-of-100, %", f"minus {reference}"]
    header += ["R@10, %", "MRR", *sets]
    cells = [[str(place), *_cells(row, sets)] for place, row in enumerate(ordered, 1)]
    places: dict[str, list[str]] = {}
    for place, row in enumerate(ordered, 1):
        places.setdefault(_shown(row, strip), []).append(str(place))
    commands = [f"- {', '.join(rows)}: `{command}`" for command, rows in places.items()]
    return "\n".join([markdown_table(header, cells, left=(1,)), "", *commands]) + "\n"


def _cells(row: Row, sets: Sequence[str]) -> list[str]:
    result = row.ranking
    scores = [f"{row.spearman[name]:.4f}" if name in row.spearman else _NONE for name in sets]
    return [
        row.name,
        _NONE if row.pairs is None else f"{row.pairs:,}",
        _NONE if row.seconds is None else f"{row.seconds / 60:.0f}",
        _percent(result["accuracy"], result["accuracy_interval"]),
        "" if _is_reference(row) else _percent(result["gain"], result["gain_interval"], "+"),
        _percent(result["recall"]["10"], None),
        f"{result['mrr']:.4f}",
        *scores,
    ]


def _percent(value: float | None, interval: Sequence[float] | None, sign: str = "") -> str:
    if value is None:
        return _NONE
    text = f"{100 * value:{sign}.1f}"
    if interval is None:
        return text
    low, high = (f"{100 * bound:{sign}.1f}" for bound in interval)
    return f"{text} ({low} to {high})"


def _is_reference(row: Row) -> bool:
    return row.ranking["is_model"] and row.ranking["gain"] is None


def _shown(row: Row, strip: Sequence[str]) -> str:
    command = row.command
    for prefix in sorted(strip, key=len, reverse=True):
        command = command.replace(prefix, "")
    return command


def _read(given: str) -> tuple[str, dict[str, Any]]:
    if given.endswith(".json"):
        path = given
    else:
        folders = given, storage.join(given, EVALUATION_FOLDER)
        paths = [storage.join(folder, EVALUATION_FIGURES) for folder in folders]
        path = next(filter(storage.exists, paths), paths[0])
    if not storage.exists(path):
        raise UserError(f"{path}: does not exist; make it with `rejoinder evaluate --output`")
    try:
        report: dict[str, Any] = json.loads(storage.read_bytes(path))
        if report["data"] and report["ranking"]:
            return path, report
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(
        f"{path}: has no response selection; make it with `rejoinder evaluate --corpus`"
    )


def _check_same(first: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]) -> None:
    for key in _SAME:
        one, two = first[1]["data"][key], other[1]["data"][key]
        if one != two:
            raise UserError(
                f"{other[0]}: {key} is {two}, in {first[0]} it is {one}; "
                "evaluate all models on the same pairs"
            )
    one, two = (_first_model(report) for _, report in (first, other))
    if one != two:
        raise UserError(
            f"{other[0]}: compares with {two}, {first[0]} with {one}; "
            "give the same first --model to each evaluation"
        )


def _first_model(report: dict[str, Any]) -> str | None:
    return next((entry["name"] for entry in report["ranking"] if entry["is_model"]), None)


def _row(entry: dict[str, Any], report: dict[str, Any]) -> Row:
    name = entry["name"]
    model = _model(name, report["models"])
    folder, training = _training(report["models"].get(model))
    spearman = {
        one["name"]: one["spearman"] for one in report["similarity"] if one["model"] == name
    }
    return Row(
        name,
        entry,
        training.get("command", report["command"]),
        folder if model == name else None,
        spearman,
        training.get("pairs_trained"),
        training.get("training_seconds"),
    )


def _model(name: str, models: Iterable[str]) -> str | None:
    """Returns the model of a row, which can also score it with earlier turns or a map."""
    scored = (
        model
        for model in models
        if name == model or name.startswith((f"{model} with ", f"{model}, "))
    )
    return max(scored, key=len, default=None)


def _training(path: str | None) -> tuple[str | None, dict[str, Any]]:
    """Returns folder and report of the run that trained a model; None and {} if no run here did.

    The best checkpoint of a run is in a folder inside that of the run.
    """
    for folder in (path, posixpath.dirname(path.rstrip("/"))) if path else ():
        report = storage.join(folder, TRAINING_REPORT)
        if folder and storage.exists(report):
            found: dict[str, Any] = json.loads(storage.read_bytes(report))
            return folder, found
    return None, {}


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "evaluations", nargs="+", metavar="EVALUATION", help="report of `rejoinder evaluate`"
    )
    parser.add_argument(
        "--strip",
        nargs="+",
        default=[],
        metavar="PREFIX",
        help="beginnings of paths to leave out of the commands",
    )
    args = parser.parse_args()
    print(render(read_rows(args.evaluations), args.strip), end="")
    return 0


if __name__ == "__main__":
    cli.run(main)
