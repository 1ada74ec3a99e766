"""The table that ends a quickstart: what was made, how good it is, what to run next."""

import json
from pathlib import Path
from typing import Any

from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import MANIFEST


def print_summary(out: Path, inputs: list[str], *, seconds: float) -> None:
    """Prints the table from what the steps wrote into `out`."""
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
        ("time", f"{seconds:.0f} s"),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"  {name:<{width}}  {value}" for name, value in rows))
    print(
        "\nwhat to run next\n"
        f"  make serve EXPORT={out / 'export' / 'encoder'}    # answers on http://127.0.0.1:8501\n"
        '    curl -d \'{"instances": ["Nice weather today"]}\' '
        "http://127.0.0.1:8501/v1/models/encoder:predict\n"
        "  make quickstart INPUT='dumps/RC_*.zst'           # the same on your own dump\n"
        "  make help                                        # each step by itself"
    )


def ranking_rows(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns (label, value) of each method: accuracy with its 95 % interval, in percent.

    A test split of fewer pairs than candidates has no 1-of-100 accuracy; the mean
    reciprocal rank over all its responses stands in, and is labelled so.
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
