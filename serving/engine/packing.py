"""Packs texts side by side into rows of token ids, so that a batch has little padding.

Comments average 18 tokens and their lengths vary. A batch padded to its longest text
computes 1.5 times its tokens, and batches of one length each are too small to be
fast. Rows of several texts, separated by segment numbers, cost the model little more
than their tokens.
"""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Rows hold at most about this many tokens: the cost of attention grows with the square
# of the row's length, so longer rows cost more than the padding that they save.
_ROW_TOKENS = 128
# Relative cost that attention adds to a token for each token of its row, measured
# on a CPU with a base model (widths 20 to 128).
_COST_PER_WIDTH = 1 / 2000
# Batches of several rows have widths that are multiples of this: the runtime caches
# buffers for each new shape, megabytes for each.
_WIDTH_STEP = 8


class PackedRows(NamedTuple):
    """Packed texts.

    Attributes:
        token_ids: int32 [r, w].
        segment_ids: int32 [r, w]: 0 for padding, otherwise the 1-based number of the
            text in its row.
        positions: int32 [r, w], 0-based inside the text.
        slots: int64 [n, 2]: row and 0-based number in the row of each text; (-1, -1)
            for a text without tokens.
    """

    token_ids: NDArray[np.int32]
    segment_ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    slots: NDArray[np.int64]


def pack_rows(texts: Sequence[NDArray[np.int32]], *, pad_id: int, longest: int) -> PackedRows:
    """Packs texts into rows of about equal length.

    Args:
        texts: n int32 arrays of token ids. A padding id inside a text keeps its place
            and is masked, as in an unpacked row.
        pad_id: Padding id.
        longest: Maximum columns of a row; no text is longer.

    Returns:
        The rows; r is 0 if no text has a token.
    """
    lengths = [len(text) for text in texts]
    order = sorted((i for i in range(len(texts)) if lengths[i]), key=lambda i: -lengths[i])
    members = _assign(lengths, order, longest)
    width = _width(lengths, members, longest)
    shape = (len(members), width)
    token_ids = np.full(shape, pad_id, np.int32)
    segment_ids, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    slots = np.full((len(texts), 2), -1, np.int64)
    for row, members_of_row in enumerate(members):
        start = 0
        for number, i in enumerate(members_of_row):
            end = start + lengths[i]
            real = texts[i] != pad_id
            token_ids[row, start:end] = texts[i]
            segment_ids[row, start:end] = real * (number + 1)
            positions[row, start:end] = np.cumsum(real) - 1
            slots[i] = row, number
            start = end
    return PackedRows(token_ids, segment_ids, positions, slots)


def _assign(lengths: Sequence[int], order: Sequence[int], longest: int) -> list[list[int]]:
    """Returns the texts of each row, for the number of rows with the least cost."""
    if not order:
        return []
    row_tokens = max(min(_ROW_TOKENS, longest), lengths[order[0]])
    fewest = math.ceil(sum(lengths) / row_tokens)
    best: list[list[int]] = []
    for count in range(fewest, len(order) + 1):
        if best and count > 2 * fewest + 1:
            break
        rows = _fill(lengths, order, count)
        fits = max(sum(lengths[i] for i in row) for row in rows) <= longest
        if fits and (not best or _cost(lengths, rows, longest) < _cost(lengths, best, longest)):
            best = rows
    return best


def _fill(lengths: Sequence[int], order: Sequence[int], count: int) -> list[list[int]]:
    """Adds each text, longest first, to the row with the fewest tokens so far."""
    rows: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, row) for row in range(count)]
    for i in order:
        tokens, row = heap[0]
        rows[row].append(i)
        heapq.heapreplace(heap, (tokens + lengths[i], row))
    return rows


def _cost(lengths: Sequence[int], rows: Sequence[Sequence[int]], longest: int) -> float:
    width = _width(lengths, rows, longest)
    return len(rows) * width * (1 + width * _COST_PER_WIDTH)


def _width(lengths: Sequence[int], rows: Sequence[Sequence[int]], longest: int) -> int:
    """Returns the number of columns; a single row has exactly as many as tokens."""
    width = max((sum(lengths[i] for i in row) for row in rows), default=0)
    return width if len(rows) < 2 else min(-(-width // _WIDTH_STEP) * _WIDTH_STEP, longest)
