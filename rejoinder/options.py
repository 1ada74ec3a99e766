"""Checks of the values of command-line options."""

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
