"""The softmax over in-batch negatives, with negatives from every replica.

Each replica scores its own rows against the columns of all replicas and divides
by the pairs of the whole batch; the sum of the replicas' losses, and of their
gradients, is then exactly that of one device with the whole batch.
"""

from dataclasses import dataclass

import tensorflow as tf

from rejoinder.trainer.collectives import first_row, gather_rows, replicas

_MASKED = -1e9  # added to a masked logit: exp underflows to 0 in float32


@dataclass(frozen=True)
class LossOptions:
    """Options of the loss.

    Attributes:
        symmetric: Mean of context→response and response→context, as the script of the
            all-* models; False: the first only (MultipleNegativesRankingLoss,
            https://arxiv.org/abs/1705.00652).
        mask_duplicates: Remove from a row's negatives every column whose text equals
            a text of the row's pair, or whose partner equals the row's own text.
        mask_same_thread: Remove columns of the same thread as well.
        log_q: Subtract log of a column's frequency from its logit
            (Yi et al. 2019, https://doi.org/10.1145/3298689.3346996, equation 3).
        margin: Subtract from the cosine similarity of the true pair
            (additive margin softmax, https://arxiv.org/abs/1902.08564, equation 5).
        dims: Widths whose losses are averaged; the last is the whole embedding
            (Matryoshka, https://arxiv.org/abs/2205.13147).
    """

    symmetric: bool = True
    mask_duplicates: bool = True
    mask_same_thread: bool = False
    log_q: bool = False
    margin: float = 0.0
    dims: tuple[int, ...] = ()


@dataclass(frozen=True)
class LossResult:
    """What a replica's rows contribute.

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
) -> LossResult:
    """Returns this replica's part of the loss of the whole batch.

    Args:
        context: Unit vectors, float32 [n, d]; row i belongs to row i of `response`.
        response: Unit vectors, float32 [n, d].
        scale: Factor on the cosine similarities.
        features: `context_key`, `response_key`, `thread_key` int32 [n, 2] and
            `context_log_q`, `response_log_q` float32 [n], each only where the
            options ask for it.
        options: Which loss.
    """
    count = context.shape[0]
    total = count * replicas()
    columns = gather_rows(tf.concat([context, response], -1))
    all_context, all_response = tf.split(columns, 2, axis=-1)
    labels = first_row(count) + tf.range(count)
    truth = tf.one_hot(labels, total)
    mask = _not_negatives(features, truth, options)

    def direction(rows: tf.Tensor, cols: tf.Tensor, log_q: tf.Tensor | None):
        logits = scale * (tf.matmul(rows, cols, transpose_b=True) - options.margin * truth) + mask
        if log_q is not None:
            logits -= gather_rows(log_q)[tf.newaxis]
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), logits

    losses, correct = [], tf.zeros([count])
    for dim in options.dims or (context.shape[-1],):
        whole = dim == context.shape[-1]
        forward, logits = direction(
            _prefix(context, dim), _prefix(all_response, dim), features.get("response_log_q")
        )
        loss = forward
        if options.symmetric:
            backward, _ = direction(
                _prefix(response, dim), _prefix(all_context, dim), features.get("context_log_q")
            )
            loss = (forward + backward) / 2
        losses.append(loss)
        if whole:
            best = tf.argmax(logits, -1, output_type=tf.int32)
            correct = tf.cast(tf.equal(best, labels), tf.float32)
    per_pair = tf.add_n(losses) / len(losses)
    return LossResult(tf.reduce_sum(per_pair) / total, per_pair, correct)


def _prefix(embeddings: tf.Tensor, dim: int) -> tf.Tensor:
    """Returns the first `dim` components, at unit length again."""
    if dim == embeddings.shape[-1]:
        return embeddings
    return tf.math.l2_normalize(embeddings[:, :dim], -1)


def _not_negatives(
    features: dict[str, tf.Tensor], truth: tf.Tensor, options: LossOptions
) -> tf.Tensor:
    """Returns what to add to the logits: 0, or `_MASKED` where a column is no negative."""
    same = tf.zeros_like(truth, tf.bool)
    if options.mask_duplicates:
        context, response = features["context_key"], features["response_key"]
        all_context, all_response = tf.split(gather_rows(tf.concat([context, response], -1)), 2, -1)
        same |= _equal(context, all_context) | _equal(response, all_response)
        # Threads chain: the response of one pair is the context of the next. With one
        # encoder for both sides, such a column is the row's own text at cosine 1.
        same |= _equal(context, all_response) | _equal(response, all_context)
    if options.mask_same_thread:
        same |= _equal(features["thread_key"], gather_rows(features["thread_key"]))
    return tf.where(same & (truth < 0.5), _MASKED, 0.0)


def _equal(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(rows[:, tf.newaxis] == columns[tf.newaxis], -1)
