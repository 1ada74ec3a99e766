"""Packs texts of different lengths into rows of one static length.

Comments average 18 tokens; a row of 128 for each would be padding for the most
part. Several texts in a row keep the shapes static, as TPUs need them, with
over 90 % real tokens. Everything here is TensorFlow operations on small
tensors, so it runs inside `tf.data`, also on a remote TPU host.
"""

from typing import NamedTuple

import tensorflow as tf


class PackedBatch(NamedTuple):
    """Texts packed into rows.

    Attributes:
      token_ids: int32 [num_rows, row_length].
      segment_ids: int32 [num_rows, row_length]; 0 is padding, 1… the number of
        the text in its row.
      positions: int32 [num_rows, row_length], 0-based inside the text.
      slots: int32 [n, 2], the row and the 0-based number in it of each text;
        -1, -1 for a text that found no place.
      fits: bool scalar, whether all texts found a place.
    """

    token_ids: tf.Tensor
    segment_ids: tf.Tensor
    positions: tf.Tensor
    slots: tf.Tensor
    fits: tf.Tensor


def pack(
    ids: tf.RaggedTensor, row_length: int, num_rows: int, max_segments: int, pad_id: int
) -> PackedBatch:
    """Packs n texts into `num_rows` rows of `row_length` tokens.

    Args:
      ids: int32 [n, None] token ids.
      row_length: tokens in a row.
      num_rows: number of rows, whatever the texts need.
      max_segments: most texts in a row.
      pad_id: id that fills what is left.

    Returns:
      The packed batch; the same input always gives the same one.
    """
    lengths = tf.cast(ids.row_lengths(), tf.int32)
    row, number, start = assign_rows(lengths, row_length, num_rows, max_segments)
    text = tf.cast(ids.value_rowids(), tf.int32)
    column = tf.range(tf.size(text)) - tf.gather(tf.cast(ids.row_starts(), tf.int32), text)
    placed = row >= 0
    # Tokens without a place are written to one cell behind the last row.
    dump = num_rows * row_length
    cell = tf.where(
        tf.gather(placed, text), tf.gather(row * row_length + start, text) + column, dump
    )

    def rows(values: tf.Tensor, fill: int) -> tf.Tensor:
        cells = tf.tensor_scatter_nd_update(tf.fill([dump + 1], fill), cell[:, None], values)
        return tf.reshape(cells[:dump], [num_rows, row_length])

    return PackedBatch(
        token_ids=rows(tf.cast(ids.flat_values, tf.int32), pad_id),
        segment_ids=rows(tf.gather(number, text) + 1, 0),
        positions=rows(column, 0),
        slots=tf.stack([row, number], axis=1),
        fits=tf.reduce_all(placed),
    )


def assign_rows(
    lengths: tf.Tensor, row_length: int, num_rows: int, max_segments: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds a row for each text, longest texts first.

    In each round the i-th longest text left is offered to the i-th emptiest row,
    and taken if it fits. A round serves up to `num_rows` texts at once, so there
    are about as many rounds as texts in a row, instead of one step a text. If
    the longest text left does not fit into the emptiest row, it never will.

    Args:
      lengths: int32 [n], at least 1 each.
      row_length: tokens in a row.
      num_rows: number of rows.
      max_segments: most texts in a row.

    Returns:
      Row, number in the row and first column of each text, int32 [n] each; row
      and number are -1 for a text without a place.
    """
    count = tf.size(lengths)
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    ordered = tf.gather(lengths, order)
    none = tf.fill([count], -1)

    def unfinished(waiting, *_):
        return tf.size(waiting) > 0

    def offer(waiting, room, texts, row, number, start):
        # `waiting` holds places in `ordered`, longest text first.
        emptiest = tf.argsort(tf.where(texts < max_segments, room, -1), direction="DESCENDING")
        offers = tf.minimum(tf.size(waiting), num_rows)
        candidate, target = waiting[:offers], emptiest[:offers]
        size = tf.gather(ordered, candidate)
        takes = (size <= tf.gather(room, target)) & (tf.gather(texts, target) < max_segments)
        taken, host = tf.boolean_mask(candidate, takes), tf.boolean_mask(target, takes)
        size = tf.boolean_mask(size, takes)
        index = host[:, None]
        row = tf.tensor_scatter_nd_update(row, taken[:, None], host)
        number = tf.tensor_scatter_nd_update(number, taken[:, None], tf.gather(texts, host))
        begin = row_length - tf.gather(room, host)
        start = tf.tensor_scatter_nd_update(start, taken[:, None], begin)
        room = tf.tensor_scatter_nd_sub(room, index, size)
        texts = tf.tensor_scatter_nd_add(texts, index, tf.ones_like(size))
        left = tf.boolean_mask(candidate, tf.logical_not(takes))
        waiting = tf.concat([left, waiting[offers:]], 0)
        # The longest text left was refused by the emptiest row: give up on it.
        hopeless = tf.logical_not(tf.reduce_any(takes[:1]))
        return waiting[tf.cast(hopeless, tf.int32) :], room, texts, row, number, start

    state = (
        tf.range(count),
        tf.fill([num_rows], row_length),
        tf.zeros([num_rows], tf.int32),
        none,
        none,
        tf.zeros([count], tf.int32),
    )
    shapes = (
        tf.TensorShape([None]),
        tf.TensorShape([num_rows]),
        tf.TensorShape([num_rows]),
        none.shape,
        none.shape,
        none.shape,
    )
    *_, row, number, start = tf.while_loop(unfinished, offer, state, shape_invariants=shapes)
    back = tf.argsort(order)
    return tf.gather(row, back), tf.gather(number, back), tf.gather(start, back)


def gather_segments(embeddings: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Brings the embeddings of packed texts back into the texts' order.

    Args:
      embeddings: [rows, max_segments, d].
      slots: int32 [n, 2] from `pack`; all texts must have a place.

    Returns:
      [n, d].
    """
    flat = tf.reshape(embeddings, [-1, embeddings.shape[-1]])
    return tf.gather(flat, slots[:, 0] * tf.shape(embeddings)[1] + slots[:, 1])
