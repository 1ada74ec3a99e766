"""Accuracy over the number of distinct training pairs, a line for each shape of the model.

    python -m benchmarks.scaling EVALUATION… --output scaling.svg

An EVALUATION is a report of `rejoinder evaluate`, as for `python -m benchmarks.methods`. Depth and
width of a model come from its configuration, the number of pairs from `training.json` in its run.
Prints a table and draws it; TF-IDF and BM25 are horizontal lines. Other models are left out.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmarks.methods import Row, read_rows
from rejoinder import cli, figure, storage
from rejoinder.errors import UserError
from rejoinder.models.model_dir import ENCODER_FOLDER, TRAINING_REPORT
from rejoinder.tables import markdown_table

_GREY = "#888888"


@dataclass(frozen=True)
class Point:
    """A trained model.

    Attributes:
        layers: Depth.
        width: Hidden size.
        pairs: Distinct pairs that it was trained on.
        accuracy: 1-of-100, %.
        interval: Its 95 % interval, %.
    """

    layers: int
    width: int
    pairs: int
    accuracy: float
    interval: tuple[float, float]

    @property
    def shape(self) -> str:
        """Depth and width in words."""
        return f"{self.layers} {'layer' if self.layers == 1 else 'layers'} of {self.width}"


def points(rows: Sequence[Row]) -> list[Point]:
    """Returns the trained models, by shape and number of pairs.

    Raises:
        UserError: Two models have the same shape and number of pairs, or none was trained.
    """
    found: dict[tuple[int, int, int], Point] = {}
    for row in rows:
        if row.folder is None:
            continue
        config = _json(storage.join(row.folder, ENCODER_FOLDER, "config.json"))
        training = _json(storage.join(row.folder, TRAINING_REPORT))
        key = (config["num_hidden_layers"], config["hidden_size"], training["pairs"])
        low, high = (100 * bound for bound in row.ranking["accuracy_interval"])
        point = Point(*key, 100 * row.ranking["accuracy"], (low, high))
        if found.setdefault(key, point) is not point:
            raise UserError(f"{row.folder}: a second model has {point.shape}, {point.pairs} pairs")
    if not found:
        raise UserError("no model of these evaluations was trained by `rejoinder train`")
    return [found[key] for key in sorted(found)]


def table(found: Sequence[Point]) -> str:
    """Returns a row for each shape, a column for each number of pairs."""
    counts = sorted({point.pairs for point in found})
    shapes = list(dict.fromkeys(point.shape for point in found))
    cells = {
        (point.shape, point.pairs): (
            f"{point.accuracy:.1f} ({point.interval[0]:.1f} to {point.interval[1]:.1f})"
        )
        for point in found
    }
    rows = [[shape, *(cells.get((shape, count), "-") for count in counts)] for shape in shapes]
    return markdown_table(["1-of-100, %", *(f"{count:,} pairs" for count in counts)], rows)


def plot(found: Sequence[Point], keyword_methods: Sequence[Row]) -> Markup:
    """Returns the figure.

    Args:
        found: The trained models.
        keyword_methods: Drawn as horizontal lines.
    """

    def draw(axes: Any) -> None:
        for colour, shape in zip(
            figure.COLOURS, dict.fromkeys(p.shape for p in found), strict=False
        ):
            line = [point for point in found if point.shape == shape]
            accuracy = [point.accuracy for point in line]
            below = [point.accuracy - point.interval[0] for point in line]
            above = [point.interval[1] - point.accuracy for point in line]
            pairs = [point.pairs for point in line]
            axes.errorbar(
                pairs,
                accuracy,
                yerr=[below, above],
                fmt="o-",
                color=colour,
                markersize=4,
                elinewidth=0.8,
                capsize=2,
                label=shape,
            )
        for style, row in zip(("--", ":", "-."), keyword_methods, strict=False):
            accuracy = 100 * row.ranking["accuracy"]
            axes.axhline(accuracy, color=_GREY, linestyle=style, linewidth=1, label=row.name)
        axes.set_xscale("log")
        axes.set_xticks(sorted({point.pairs for point in found}), minor=False)
        axes.xaxis.minorticks_off()
        figure.format_numbers(axes.xaxis)
        axes.set_xlabel("distinct training pairs")
        axes.set_ylabel("1-of-100 accuracy, %")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)

    return figure.svg(draw, width=6.5, height=3.2)


def _json(path: str) -> Any:
    try:
        return json.loads(storage.read_bytes(path))
    except ValueError:
        raise UserError(f"{path}: is not JSON; train the model again") from None


def main() -> int:
    """Prints the table and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "evaluations", nargs="+", metavar="EVALUATION", help="report of `rejoinder evaluate`"
    )
    parser.add_argument("--output", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args()
    rows = [row for row in read_rows(args.evaluations) if row.ranking["accuracy"] is not None]
    found = points(rows)
    print(table(found))
    drawn = str(plot(found, [row for row in rows if not row.ranking["is_model"]]))
    # Black text on no background cannot be read in a dark theme.
    args.output.write_text(drawn.replace("<svg ", '<svg style="background: white" ', 1))
    print(f"wrote {args.output}")
    return 0


if __name__ == "__main__":
    cli.run(main)
