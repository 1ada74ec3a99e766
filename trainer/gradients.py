"""The gradient of the batch's loss on one replica, before the sum over replicas."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.trainer.encoding import encode_rows, row_features, split_pairs
from rejoinder.trainer.loss import LossResult

Loss = Callable[..., LossResult]


def gradients(
    encoder: SentenceEncoder,
    features: dict[str, tf.Tensor],
    loss: Loss,
    variables: Sequence[tf.Variable],
    *,
    max_segments: int,
    chunks: int = 1,
    seed: tf.Tensor | None = None,
) -> tuple[list[tf.Tensor], LossResult]:
    """Returns the gradients (dense, in the order of `variables`) and the loss.

    `chunks` > 1 uses GradCache (https://arxiv.org/abs/2101.06983): it computes all
    embeddings without keeping activations, then the gradient of the loss with
    respect to the embeddings, and then encodes each chunk of rows again with that
    gradient. It needs the memory of one chunk and gives the gradient of the whole batch.

    Args:
        encoder: The sentence encoder.
        features: One replica's features (`rejoinder.trainer.data.layout`).
        loss: Function from the embeddings of contexts, responses, each column of negatives, and
            earlier turns ([n, d] each) to the loss.
        variables: Variables with respect to which to differentiate.
        max_segments: Maximum sentences in a packed row.
        chunks: Number of chunks in which the rows are encoded; must divide their number.
        seed: int32 [2], seed of the dropout masks; both passes over a chunk use the
            same masks.

    Raises:
        ValueError: `chunks` does not divide the number of rows.
    """
    rows = row_features(features)
    if chunks == 1:
        with tf.GradientTape() as tape:
            segments = encode_rows(encoder, rows, max_segments, seed)
            result = loss(*split_pairs(segments, features))
        return _dense(tape.gradient(result.loss, variables), variables), result

    count = rows["token_ids"].shape[0]
    if count % chunks:
        raise ValueError(f"chunks must divide the {count} rows, got {chunks}")
    pieces = [
        {name: value[start : start + count // chunks] for name, value in rows.items()}
        for start in range(0, count, count // chunks)
    ]
    fold_in = tf.random.experimental.stateless_fold_in
    seeds = [None if seed is None else fold_in(seed, index) for index in range(chunks)]
    cached = [
        encode_rows(encoder, piece, max_segments, piece_seed)
        for piece, piece_seed in zip(pieces, seeds, strict=True)
    ]
    segments = tf.stop_gradient(tf.concat(cached, 0))
    with tf.GradientTape() as tape:
        tape.watch(segments)
        result = loss(*split_pairs(segments, features))
    # The loss itself may have variables (a learned scale) that no chunk depends on.
    by_input = tape.gradient(result.loss, [segments, *variables])
    upstream, total = tf.split(by_input[0], chunks), _dense(by_input[1:], variables)
    for piece, piece_seed, upstream_gradient in zip(pieces, seeds, upstream, strict=True):
        with tf.GradientTape() as tape:
            embeddings = encode_rows(encoder, piece, max_segments, piece_seed)
        part = tape.gradient(embeddings, variables, output_gradients=upstream_gradient)
        total = [a + b for a, b in zip(total, _dense(part, variables), strict=True)]
    return total, result


def _dense(
    values: Sequence[tf.Tensor | tf.IndexedSlices | None], variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """Returns dense gradients; zeros for a variable that the result does not depend on."""
    return [
        tf.zeros(variable.shape, variable.dtype) if value is None else tf.convert_to_tensor(value)
        for value, variable in zip(values, variables, strict=True)
    ]
