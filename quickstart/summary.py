"""The table at the end of a quickstart: what was written, its quality, and what to run next."""

import json
import shlex
from pathlib import Path
from typing import Any

from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import MANIFEST
from rejoinder.tables import list_table
from rejoinder.units import format_duration


def print_summary(out: Path, inputs: list[str], *, seconds: float) -> None:
    """Prints the table from the files that the steps wrote.

    Args:
        out: The quickstart's output folder.
        inputs: The dumps.
        seconds: Duration of the whole run.
    """
    manifest = Manifest.from_json((out / "corpus" / MANIFEST).read_text(encoding="utf-8"))
    training = _read(out / "model" / "training.json")
    evaluation = _read(out / "model" / "evaluation" / "evaluation.json")
    rows = [
        ("input", ", ".join(inputs)),
        ("pairs", f"{manifest.examples('train'):,} train, {manifest.examples('test'):,} test"),
        ("steps", f"{training['steps']:,} of {training['batch_size']:,} pairs"),
        ("loss", f"{training['first_loss']:.3f} first, {training['last_loss']:.3f} last"),
        *ranking_rows(evaluation),
        ("corpus", str(out / "corpus")),
        ("model", str(out / "model")),
        ("SavedModel", str(out / "export" / "encoder")),
        ("report", str(out / "model" / "evaluation" / "evaluation.html")),
        ("time", format_duration(seconds)),
    ]
    print("\n" + list_table(rows))
    print(next_commands(out))


def next_commands(out: Path) -> str:
    """Returns commands to continue with, and what each does."""
    export, corpus, model = (
        shlex.quote(str(out / name)) for name in ("export/encoder", "corpus", "model")
    )
    return (
        "\nwhat to run next\n"
        f"  rejoinder serve --model encoder={export}\n"
        "      answers on http://127.0.0.1:8501; try it in a browser, or:\n"
        '      curl -d \'{"instances": ["Nice weather today"]}\' '
        "http://127.0.0.1:8501/v1/models/encoder:predict\n"
        f"  rejoinder search --corpus {corpus} --model {model} --query 'my bread does not rise'\n"
        "      finds the comments nearest to a text\n"
        "  rejoinder quickstart --input 'dumps/RC_*.zst'\n"
        "      runs the same steps on your own dump\n"
        "  rejoinder --help\n"
        "      lists every command"
    )


def ranking_rows(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns (label, value) of each method: accuracy with its 95 % interval, in percent.

    A test split with fewer than 100 pairs has no 1-of-100 accuracy. Its row has the mean
    reciprocal rank over all responses instead, labelled MRR.
    """
    rows = []
    for method in evaluation["ranking"]:
        name = method["name"]
        if method["accuracy"] is None:
            rows.append((f"MRR {name}", f"{method['mrr']:.3f}  (too few pairs for 1-of-100)"))
        else:
            low, high = method["accuracy_interval"]
            percent = f"{method['accuracy']:.1%}  (95 % interval {low:.1%} to {high:.1%})"
            rows.append((f"1-of-100 {name}", percent))
    return rows


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
