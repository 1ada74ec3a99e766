"""Rows of token ids packed side by side, so that a batch is next to no padding.

Comments average 18 tokens and no two lengths agree, so a batch padded to its
longest text computes half as much again, and batches of one length each are too
small to be fast. Several texts to a row, kept apart by their segment numbers,
cost the model little more than their tokens.
"""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Rows hold at most about this many tokens: attention looks from every token of a
# row at every other, so longer rows cost more than the padding that they save.
_ROW_TOKENS = 128
# Share that attention adds to a token's cost for each token of its row, measured
# on CPU with a base model (widths 20 to 128).
_COST_PER_WIDTH = 1 / 2000
# Widths of several rows are multiples of this: the runtime keeps what it prepares for
# each shape that it meets, and memory grew by megabytes a shape.
_WIDTH_STEP = 8


class PackedRows(NamedTuple):
    """Texts side by side.

    Attributes:
        token_ids: int32 [r, w].
        segment_ids: int32 [r, w]; 0 is padding, 1… the number of the text in its row.
        positions: int32 [r, w], 0-based inside the text.
        slots: int64 [n, 2]: row and 0-based number in it of each text; of a text
            without a token, -1, -1.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    positions: np.ndarray
    slots: np.ndarray


def pack_rows(texts: Sequence[np.ndarray], *, pad_id: int, longest: int) -> PackedRows:
    """Packs texts into rows of about equal length.

    Args:
        texts: n int32 arrays of token ids. The padding id inside a text keeps its
            place and is masked, as it is in a row of its own.
        pad_id: Id that fills what is left.
        longest: Most columns that the model takes; no text is longer.
    """
    lengths = [len(text) for text in texts]
    order = sorted((i for i in range(len(texts)) if lengths[i]), key=lambda i: -lengths[i])
    members = _share_out(lengths, order, longest)
    width = _width(lengths, members, longest)
    shape = (len(members), width)
    token_ids = np.full(shape, pad_id, np.int32)
    segment_ids, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    slots = np.full((len(texts), 2), -1)
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


def _share_out(lengths: Sequence[int], order: Sequence[int], longest: int) -> list[list[int]]:
    """Returns the texts of each row, for the number of rows that costs least."""
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
    """Gives each text, longest first, to the row with the fewest tokens so far."""
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
    """Returns the columns that all rows get; a single row has exactly its tokens."""
    width = max((sum(lengths[i] for i in row) for row in rows), default=0)
    return width if len(rows) < 2 else min(-(-width // _WIDTH_STEP) * _WIDTH_STEP, longest)
