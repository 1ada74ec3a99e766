"""What the steps of a job know of a corpus that can grow."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class GrowthSpec:
    """What the workers need to know of a corpus that can grow.

    Attributes:
        keep_months: Months of comments that the state keeps.
        corpus: Folder of the corpus to extend; "" makes a new one.
        files: Files of its state.
        newest_month: Its newest month, counted from year 0; 0 of a new one.
        checksum: Digest of its list of files, which names all its bytes.
    """

    keep_months: int
    corpus: str = ""
    files: int = 0
    newest_month: int = 0
    checksum: str = ""

    def oldest_month(self, newest_month: int) -> int:
        """Returns the first month to keep, if the newest is `newest_month`."""
        return newest_month - self.keep_months + 1


def newest_month(months: Sequence[tuple[int, int]], before: int = 0) -> int:
    """Returns the newest month of a corpus, 0 if no comment has a month.

    A few comments with a wrong time must not end the window, so a month counts from a
    thousandth of the run's comments on.

    Args:
        months: (month, comments) of the run.
        before: The newest month of the runs before it.
    """
    total = sum(count for _, count in months)
    return max([before, *(month for month, count in months if count * 1000 >= total)])
