"""Numbers in base 36, the form of the ids in Reddit's dumps."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def to_base36(number: int) -> str:
    """Returns a non-negative number in lower-case base 36, e.g. `5h6yvl`."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
