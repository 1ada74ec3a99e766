"""The softmax over in-batch negatives, with negatives from every replica.

Each replica scores its own rows against the columns of all replicas and divides
by the pairs of the whole batch; the sum of the replicas' losses, and of their
gradients, is then exactly that of one device with the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.distribution.collectives import first_row, gather_rows, replicas
from rejoinder.trainer.guide import guide_masks
from rejoinder.trainer.hard_negatives import HardNegatives
from rejoinder.trainer.loss_ops import MASKED, equal_keys, prefix
from rejoinder.trainer.thread_mask import thread_mask


@dataclass(frozen=True)
class LossResult:
    """The contribution of one replica's rows.

    Attributes:
        loss: Scalar; the sum over replicas is the loss of the batch.
        per_pair: Loss of each local pair, float32 [n].
        correct: 1 where the true response scores highest, float32 [n].
    """

    loss: tf.Tensor
    per_pair: tf.Tensor
    correct: tf.Tensor


def contrastive_loss(
    context: tf.Tensor,
    response: tf.Tensor,
    scale: tf.Tensor | float,
    features: dict[str, tf.Tensor],
    options: LossOptions,
    negatives: Sequence[tf.Tensor] = (),
) -> LossResult:
    """Returns this replica's part of the loss of the whole batch.

    Args:
        context: Unit vectors, float32 [n, d]; row i belongs to row i of `response`.
        response: Unit vectors, float32 [n, d].
        scale: Factor on the cosine similarities.
        features: `context_key`, `response_key` int32 [n, 2] and `context_log_q`,
            `response_log_q` float32 [n], each needed only if the options use it;
            `guide_context`, `guide_response` int8 [n, g], likewise; `thread_key` int32 [n, 2] and
            `data_set` int32 [n], likewise; `negative_key` int32 [n, m, 2] with m columns of
            negatives, 0 where one is missing.
        options: The loss; `scale` above replaces its scale.
        negatives: Unit vectors of m hard negatives of each pair, float32 [n, d] each. They are
            further columns of the direction from context to response.
    """
    count = context.shape[0]
    total = count * replicas()
    columns = gather_rows(tf.concat([context, response], -1))
    all_context, all_response = tf.split(columns, 2, axis=-1)
    labels = first_row(count) + tf.range(count)
    truth = tf.one_hot(labels, total)
    masks = guide_masks(features, truth) if options.guide else (0.0, 0.0)
    if options.mask_duplicates:
        duplicates = _duplicate_mask(features, truth)
        masks = (tf.minimum(masks[0], duplicates), tf.minimum(masks[1], duplicates))
    if options.mask_threads:
        threads = thread_mask(features, truth)
        masks = (tf.minimum(masks[0], threads), tf.minimum(masks[1], threads))
    hard = HardNegatives.of(negatives, features, options) if negatives else None

    def direction(
        rows: tf.Tensor,
        cols: tf.Tensor,
        mask: tf.Tensor | float,
        log_q: tf.Tensor | None,
        hard: HardNegatives | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = scale * (tf.matmul(rows, cols, transpose_b=True) - options.margin * truth) + mask
        if log_q is not None:
            logits -= gather_rows(log_q)[tf.newaxis]
        if hard:
            logits = tf.concat([logits, hard.logits(rows, scale)], -1)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), logits

    losses: list[tf.Tensor] = []
    correct = tf.zeros([count])
    width = context.shape[-1]
    for dim in loss_widths(options.matryoshka_dims, width):
        forward, logits = direction(
            prefix(context, dim),
            prefix(all_response, dim),
            masks[0],
            features.get("response_log_q"),
            hard.prefix(dim) if hard else None,
        )
        loss = forward
        if options.symmetric:
            backward, _ = direction(
                prefix(response, dim),
                prefix(all_context, dim),
                masks[1],
                features.get("context_log_q"),
            )
            loss = (forward + backward) / 2
        losses.append(loss)
        if dim == width:
            best = tf.argmax(logits, -1, output_type=tf.int32)
            correct = tf.cast(tf.equal(best, labels), tf.float32)
    per_pair = tf.add_n(losses) / len(losses)
    return LossResult(tf.reduce_sum(per_pair) / total, per_pair, correct)


def loss_widths(dims: Sequence[int], width: int) -> tuple[int, ...]:
    """Returns the widths whose losses are averaged, ascending; the last is `width` itself.

    Args:
        dims: `task.loss.matryoshka_dims`.
        width: Width of the whole embedding.

    Raises:
        UserError: One of `dims` is not between 1 and `width`.
    """
    if dims and not 1 <= min(dims) <= max(dims) <= width:
        raise UserError(
            "task.loss.matryoshka_dims: must be between 1 and the encoder's width "
            f"{width}, got {list(dims)}"
        )
    return (*sorted({dim for dim in dims if dim < width}), width)


def _duplicate_mask(features: dict[str, tf.Tensor], truth: tf.Tensor) -> tf.Tensor:
    """Returns the term added to the logits: `MASKED` for equal texts, 0 elsewhere."""
    context, response = features["context_key"], features["response_key"]
    all_context, all_response = tf.split(gather_rows(tf.concat([context, response], -1)), 2, -1)
    context, response = context[:, tf.newaxis], response[:, tf.newaxis]
    same = equal_keys(context, all_context) | equal_keys(response, all_response)
    # Threads are chains: the response of one pair is the context of the next. With one
    # encoder for both sides, such a column is the row's own text at cosine 1.
    same |= equal_keys(context, all_response) | equal_keys(response, all_context)
    return tf.where(same & (truth < 0.5), MASKED, 0.0)
