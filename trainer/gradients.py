"""The gradient of the batch's loss, on one replica, before it is summed over replicas."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from rejoinder.trainer.encoding import encode_rows, row_features, split_pairs
from rejoinder.trainer.loss import LossResult

Loss = Callable[[tf.Tensor, tf.Tensor], LossResult]


def gradients(
    encoder,
    features: dict[str, tf.Tensor],
    loss: Loss,
    variables: Sequence[tf.Variable],
    *,
    max_segments: int,
    chunks: int = 1,
    seed: tf.Tensor | None = None,
) -> tuple[list[tf.Tensor], LossResult]:
    """Returns the gradients (dense, in the order of `variables`) and the loss.

    With `chunks` > 1 by GradCache (https://arxiv.org/abs/2101.06983): all
    embeddings first, without keeping activations; then the gradient of the loss
    with respect to the embeddings; then each chunk of rows once more, with that
    gradient. Memory is that of one chunk, the result that of the whole batch.

    Args:
        encoder: The sentence encoder.
        features: One replica's features (`rejoinder.trainer.data.layout`).
        loss: Takes the context and response embeddings.
        variables: What to differentiate by.
        max_segments: Sentences of a packed row.
        chunks: Pieces to encode the rows in; must divide their number.
        seed: int32 [2] that decides the dropout masks; with chunks, both passes over
            one drop the same units.
    """
    rows = row_features(features)
    if chunks == 1:
        with tf.GradientTape() as tape:
            places = encode_rows(encoder, rows, max_segments, seed)
            result = loss(*split_pairs(places, features))
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
    places = tf.stop_gradient(tf.concat(cached, 0))
    with tf.GradientTape() as tape:
        tape.watch(places)
        result = loss(*split_pairs(places, features))
    # The loss itself may have variables (a learned scale) that no chunk sees again.
    wanted = tape.gradient(result.loss, [places, *variables])
    upstream, total = tf.split(wanted[0], chunks), _dense(wanted[1:], variables)
    for piece, piece_seed, given in zip(pieces, seeds, upstream, strict=True):
        with tf.GradientTape() as tape:
            embeddings = encode_rows(encoder, piece, max_segments, piece_seed)
        part = tape.gradient(embeddings, variables, output_gradients=given)
        total = [a + b for a, b in zip(total, _dense(part, variables), strict=True)]
    return total, result


def _dense(values: Sequence, variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """Returns dense gradients; zeros where a variable had no part in the result."""
    return [
        tf.zeros(variable.shape, variable.dtype) if value is None else tf.convert_to_tensor(value)
        for value, variable in zip(values, variables, strict=True)
    ]
