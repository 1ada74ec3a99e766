"""Options that several commands share, and checks of their values."""

import argparse
from collections.abc import Mapping

from rejoinder.errors import UserError


def check_ranges(options: object, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Checks fields of a command's options.

    Args:
        options: Holds the values in fields named as their options, `--num-shards` as `num_shards`.
        ranges: (least, greatest) allowed value by field.

    Raises:
        UserError: A value is outside its range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not low <= value <= high:
            option = name.replace("_", "-")
            raise UserError(f"--{option}: must be {low} to {high}, got {value}")


def add_precision(group: "argparse._ArgumentGroup") -> None:
    """Adds the option `--precision`, "float32" or "bfloat16", to a group of options."""
    group.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="precision of the computation (default %(default)s)",
    )
