"""Length buckets, so that a short text is not padded to the length of a long one.

Comments have 18 tokens on average and the limit is 128, so padding to the limit would
compute seven times as much as needed. Rows are sorted into a few fixed widths and
encoded width by width, inside the graph. The widths are fixed, and not the longest row
of the batch, so that the shape in which a text is computed, and therefore its
embedding, does not depend on the other texts.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

# Steps widen with length so that the share of padding stays small: on Reddit comments
# (mean 18 tokens) 8 % of the computed tokens are padding, against 16 % with steps of 8 and
# 35 % for batches of 32 texts sorted by length.
_WIDTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)
# Limits the memory of one step for any batch size: 16,384 tokens of a base model
# need about 400 MB for attention and the feed-forward layer.
MAX_STEP_TOKENS = 16_384


def bucket_widths(max_length: int) -> tuple[int, ...]:
    """Returns the padded widths for texts of up to `max_length` tokens, ascending.

    The last width is `max_length` itself.

    Raises:
        ValueError: `max_length` is not positive.
    """
    if max_length < 1:
        raise ValueError(f"max_length must be positive, got {max_length}")
    return (*(width for width in _WIDTHS if width < max_length), max_length)


def encode_by_bucket(
    encode: Callable[[tf.Tensor], tf.Tensor],
    ids: tf.RaggedTensor,
    *,
    widths: Sequence[int],
    dimension: int,
    pad_id: int,
    max_step_tokens: int = MAX_STEP_TOKENS,
) -> tf.Tensor:
    """Encodes rows of any length, each padded only to its bucket's width.

    Args:
        encode: Maps int32 [b, width] token ids to float32 [b, dimension].
        ids: int32 [n, None]; no row longer than `widths[-1]`. n may be 0.
        widths: Ascending bucket widths, from `bucket_widths`.
        dimension: Components of an embedding.
        pad_id: Id that fills a row up to its width.
        max_step_tokens: Maximum number of padded tokens in a call of `encode`, which
            gets at least one row.

    Returns:
        float32 [n, dimension], in the order of `ids`.
    """
    edges = tf.constant(list(widths), tf.int32)
    count = tf.cast(ids.nrows(), tf.int32)
    dense = ids.to_tensor(pad_id, shape=[None, widths[-1]])
    buckets = tf.searchsorted(edges, tf.cast(ids.row_lengths(), tf.int32), side="left")
    order = tf.argsort(buckets, stable=True)
    sorted_buckets = tf.gather(buckets, order)

    def encode_step(start: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bucket = sorted_buckets[start]
        width = tf.gather(edges, bucket)
        bucket_end = tf.searchsorted(sorted_buckets, bucket[tf.newaxis], side="right")[0]
        end = tf.minimum(bucket_end, start + tf.maximum(1, max_step_tokens // width))
        rows = order[start:end]
        step = encode(tf.gather(dense, rows)[:, :width])
        return end, tf.tensor_scatter_nd_update(embeddings, rows[:, tf.newaxis], step)

    _, embeddings = tf.while_loop(
        lambda start, _: start < count,
        encode_step,
        (tf.constant(0), tf.zeros([count, dimension], tf.float32)),
        parallel_iterations=1,
    )
    return tf.ensure_shape(embeddings, [None, dimension])
