"""Figures of each data set of a mixture: draws against weights, loss and accuracy on its pairs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Losses = Mapping[str, float]


def loss_tag(name: str) -> str:
    """Returns the name of the curve of a data set's loss, e.g. `loss_reddit`."""
    return f"loss_{name.replace('/', '_')}"


def accuracy_tag(name: str) -> str:
    """Returns the name of the curve of a data set's validation accuracy, e.g. `accuracy_reddit`."""
    return f"accuracy_{name.replace('/', '_')}"


def evaluated(names: Sequence[str], batches: Sequence[int], steps: int) -> dict[int, str]:
    """Returns the data sets of the first batches of a validation: the name of each index.

    Args:
        names: Names of the data sets, in the order of their batches.
        batches: Batches of each.
        steps: `trainer.validation_steps`: how many batches are evaluated; -1 for all.
    """
    found, first = {}, 0
    for index, (name, count) in enumerate(zip(names, batches, strict=True)):
        if count and (steps <= 0 or first < steps):
            found[index] = name
        first += count
    return found


def accuracy_tags(names: Sequence[str]) -> list[str]:
    """Returns the names of the accuracies of evaluated data sets; none for a single one."""
    return [accuracy_tag(name) for name in names] if len(names) > 1 else []


def figures(
    names: Sequence[str],
    weights: Sequence[int],
    drawn: Mapping[str, int],
    first: Iterable[Losses],
    last: Iterable[Losses],
) -> dict[str, dict[str, Any]]:
    """Returns `by_data_set` of `training.json`.

    Args:
        names: Names of the data sets.
        weights: Their draw weights.
        drawn: Pairs drawn from each.
        first: Losses by curve, from several sources; the first one that has a curve counts.
        last: The same for the last losses.

    Returns:
        For each data set its weight as a share of all, its pairs, and its losses; a loss is None
        if no step had a pair of it. With one data set, whose losses have no curve, both are None.
    """
    before, after = list(first), list(last)

    def find(sources: Sequence[Losses], name: str) -> float | None:
        return next((found[loss_tag(name)] for found in sources if loss_tag(name) in found), None)

    return {
        name: {
            "weight": weight / sum(weights),
            "pairs": drawn.get(name, 0),
            "first_loss": find(before, name),
            "last_loss": find(after, name),
        }
        for name, weight in zip(names, weights, strict=True)
    }


def losses(by_data_set: Mapping[str, Mapping[str, Any]], which: str) -> dict[str, float]:
    """Returns `first_loss` or `last_loss` of a report's `by_data_set`, by curve."""
    return {
        loss_tag(name): values[which]
        for name, values in by_data_set.items()
        if values[which] is not None
    }


def table_rows(by_data_set: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, object]]:
    """Returns a row for each data set of a mixture, none for a single data set."""
    total = sum(values["pairs"] for values in by_data_set.values())
    if len(by_data_set) < 2 or not total:
        return []
    rows: list[tuple[str, object]] = []
    for name, values in by_data_set.items():
        share = f"{values['pairs'] / total:.2%} (weight {values['weight']:.2%})"
        loss = ""
        if values["first_loss"] is not None:
            loss = f", loss {values['first_loss']:.4f} -> {values['last_loss']:.4f}"
        rows.append((name, f"{values['pairs']:,} pairs, {share}{loss}"))
    return rows
