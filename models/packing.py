"""Packs texts of different lengths into rows of one static length.

Comments average 18 tokens; a row of 128 for each would be mostly padding. Several
texts in a row keep the shapes static, as TPUs need them, with over 90 % real tokens.

Two packers exist because they solve different problems. This one fills a fixed number
of rows, as a compiled training step needs, in 0.8 ms for 2,048 texts. The one of
`rejoinder.serving.engine.packing` searches for the cheapest shape of a few texts and
needs 435 ms for the same batch (`python -m benchmarks.packing`).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]


class PackedBatch(NamedTuple):
    """Texts packed into rows.

    Attributes:
        token_ids: int32 [num_rows, row_length].
        segment_ids: int32 [num_rows, row_length]; 0 is padding, 1… the number of
            the text in its row.
        positions: int32 [num_rows, row_length], 0-based inside the text.
        slots: int32 [n, 2], the row of each text and its 0-based number in the row;
            -1, -1 for a text that was not placed.
        fits: Whether all texts were placed.
    """

    token_ids: Int32Array
    segment_ids: Int32Array
    positions: Int32Array
    slots: Int32Array
    fits: bool


def pack(
    values: Int32Array,
    splits: NDArray[np.int64],
    row_length: int,
    num_rows: int,
    max_segments: int,
    pad_id: int,
) -> PackedBatch:
    """Packs n texts into `num_rows` rows of `row_length` tokens.

    Args:
        values: int32 [total], the token ids of all texts.
        splits: int64 [n + 1]; text i is `values[splits[i]:splits[i + 1]]`.
        row_length: Tokens in a row.
        num_rows: Number of rows, regardless of what the texts need.
        max_segments: Maximum texts in a row.
        pad_id: Id of the padding token.

    Returns:
        The packed batch; the same input always gives the same batch.
    """
    lengths = np.diff(splits).astype(np.int32)
    row, number, start = assign_rows(lengths, row_length, num_rows, max_segments)
    column = np.arange(splits[-1]) - np.repeat(splits[:-1], lengths)
    placed = row >= 0
    # Tokens of texts that were not placed are written to one cell after the last row.
    size = num_rows * row_length
    first = row.astype(np.int64) * row_length + start
    cell = np.where(np.repeat(placed, lengths), np.repeat(first, lengths) + column, size)

    def rows(cells: NDArray[np.integer], fill: int) -> Int32Array:
        flat = np.full(size + 1, fill, np.int32)
        flat[cell] = cells
        return flat[:size].reshape(num_rows, row_length)

    return PackedBatch(
        token_ids=rows(values, pad_id),
        segment_ids=rows(np.repeat(number, lengths) + 1, 0),
        positions=rows(column, 0),
        slots=np.stack([row, number], axis=1),
        fits=bool(placed.all()),
    )


def assign_rows(
    lengths: Int32Array, row_length: int, num_rows: int, max_segments: int
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """Finds a row for each text, longest texts first.

    In each round the i-th longest text left is offered to the i-th emptiest row and
    placed if it fits. A round serves up to `num_rows` texts at once, so the number of
    rounds is about the number of texts in a row. A text that is the longest one left
    and does not fit into the emptiest row never fits.

    Args:
        lengths: int32 [n], at least 1 each.
        row_length: Tokens in a row.
        num_rows: Number of rows.
        max_segments: Maximum texts in a row.

    Returns:
        Row, number in the row and first column of each text, int32 [n] each; row
        and number are -1 for a text that was not placed.
    """
    # Indices below are positions in `ordered`, longest text first.
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    row, number = np.full_like(lengths, -1), np.full_like(lengths, -1)
    start = np.zeros_like(lengths)
    room = np.full(num_rows, row_length, np.int32)
    texts = np.zeros(num_rows, np.int32)
    waiting = np.arange(len(lengths))
    while len(waiting):
        emptiest = np.argsort(-np.where(texts < max_segments, room, -1), kind="stable")
        offers = min(len(waiting), num_rows)
        candidate, target = waiting[:offers], emptiest[:offers]
        size = ordered[candidate]
        fits = (size <= room[target]) & (texts[target] < max_segments)
        placed, host, size = candidate[fits], target[fits], size[fits]
        row[placed], number[placed] = host, texts[host]
        start[placed] = row_length - room[host]
        room[host] -= size
        texts[host] += 1
        # If the emptiest row refused the longest text left, no row can take it.
        refused = candidate[~fits] if fits[0] else candidate[~fits][1:]
        waiting = np.concatenate([refused, waiting[offers:]])
    back = np.argsort(order)
    return row[back], number[back], start[back]


def gather_segments(embeddings: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Returns the embeddings of packed texts in the order of the texts.

    Args:
        embeddings: [rows, max_segments, d].
        slots: int32 [n, 2] from `pack`; all texts must be placed.

    Returns:
        [n, d].
    """
    flat = tf.reshape(embeddings, [-1, embeddings.shape[-1]])
    return tf.gather(flat, slots[:, 0] * tf.shape(embeddings)[1] + slots[:, 1])
