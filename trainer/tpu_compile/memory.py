"""By how much a step exceeds a device's memory, and which key to change."""

import re
from typing import Any

from rejoinder.tables import list_table
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.units import format_bytes

# libtpu's message (https://openxla.org/xla/errors/error_1000). What it calls temporaries are all
# arguments, results and temporaries of the program.
_USED = re.compile(r"\(([\d.]+[KMGT]?)\) exceeds available HBM \(([\d.]+[KMGT]?)\)")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def describe_shortage(
    figures: dict[str, Any], state: int, config: ExperimentConfig, rows: int
) -> str:
    """Returns the report of a step that does not fit.

    Args:
        figures: The compiler's figures, with its message in `error`.
        state: Bytes of the variables.
        config: The configuration.
        rows: Rows of a replica's batch.
    """
    found = _USED.search(figures["error"])
    if not found:
        return list_table([("fits", f"no: {figures['error'].splitlines()[0]}")])
    used, limit = _bytes(found[1]), _bytes(found[2])
    lines: list[tuple[str, object]] = [
        (
            "fits",
            f"no: needs {format_bytes(used)}, {format_bytes(used - limit)} more than the "
            f"{format_bytes(limit)} that a program can use",
        ),
        ("  weights and optimizer", format_bytes(state)),
        ("change", advice(used, limit, state, config, rows)),
    ]
    return list_table(lines, "memory of one device")


def advice(used: float, limit: float, state: float, config: ExperimentConfig, rows: int) -> str:
    """Returns the key to change, with a value.

    Args:
        used: Bytes that the program needs.
        limit: Bytes that it can have.
        state: Bytes of the variables, which no key below changes.
        config: The configuration.
        rows: Rows of a replica's batch.
    """
    if config.task.train_data.layout != "packed":
        return "task.train_data.layout: packed (several sentences in a row instead of padding)"
    chunks = config.task.grad_cache_chunks
    activations = (used - state) * chunks
    for number in range(chunks + 1, rows + 1):
        if state + activations / number <= limit:
            return (
                f"task.grad_cache_chunks: {number} (about {format_bytes(activations / number)} of "
                "activations at a time, for one more forward pass)"
            )
    return "the number of devices or the encoder: one row at a time does not fit either"


def _bytes(text: str) -> float:
    """Returns the bytes of a size such as `15.48G`."""
    unit = _UNITS.get(text[-1], 1)
    return float(text.rstrip("KMGT")) * unit
