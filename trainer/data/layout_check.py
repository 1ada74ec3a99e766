"""Checks that the rows of a batch suit its sentences and the chunks of GradCache."""

from collections.abc import Sequence

import numpy as np

from rejoinder.errors import UserError
from rejoinder.trainer.data.records import Pairs


def check_row_length(samples: Sequence[Pairs], row_length: int, key: str) -> None:
    """Checks that rows hold more than half of the sentences uncut.

    Args:
        samples: Sample pairs of each data set.
        row_length: Tokens of a packed row.
        key: Name of the row length in the error.

    Raises:
        UserError: At least half of the sentences of a data set are longer.
    """
    for sample in samples:
        lengths = np.concatenate([sample.context.lengths, sample.response.lengths])
        longer = float(np.mean(lengths > row_length))
        if longer >= 0.5:
            raise UserError(
                f"{key}: rows of {row_length} tokens cut {longer:.0%} of the sentences, half of "
                f"which have at least {int(np.median(lengths))} tokens; raise it"
            )


def check_chunks(chunks: int, rows: int, *, padded: bool = False) -> None:
    """Checks that GradCache can divide the rows of a replica into equal chunks.

    Args:
        chunks: `task.grad_cache_chunks`.
        rows: Rows of a replica.
        padded: Whether each row holds one sentence. Packed rows may be followed by empty
            ones, so that any number of chunks divides them.

    Raises:
        UserError: There are fewer rows than chunks, or padded rows that they do not divide.
    """
    if chunks > rows:
        raise UserError(
            f"task.grad_cache_chunks: must be at most the {rows} rows of a replica, got {chunks}"
        )
    if padded and rows % chunks:
        raise UserError(
            f"task.grad_cache_chunks: must divide the {rows} rows of a replica, got {chunks}"
        )
