"""The linear map on frozen embeddings, against the operators of PolyAI's implementation."""

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.evaluation.linear_map import LinearMap, MapTrainer, learn_map, orthogonal
from rejoinder.evaluation.ranking import in_batch_accuracy

tf1 = tf.compat.v1
WIDTH, BATCH, STEPS = 12, 40, 6


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def originals_steps(weights, contexts, responses, rate, regularizer):
    """Trains with the operators of `VectorMappingMethod`; returns weights and residual."""
    with tf.Graph().as_default(), tf1.Session() as session:
        context, response = tf1.placeholder(tf.float32), tf1.placeholder(tf.float32)
        mapping = tf1.get_variable("mapping", initializer=weights)
        residual = tf1.get_variable("residual", initializer=1.0)
        mapped = tf.matmul(tf.nn.l2_normalize(response, 1), mapping)
        mapped += residual * tf.nn.l2_normalize(response, 1)
        similarities = tf.matmul(tf.nn.l2_normalize(context, 1), mapped, transpose_b=True)
        tf1.losses.softmax_cross_entropy(
            onehot_labels=tf.one_hot(tf.range(BATCH), BATCH),
            label_smoothing=0.2,
            logits=similarities,
            reduction=tf1.losses.Reduction.MEAN,
        )
        loss = tf1.losses.get_total_loss() + regularizer * tf.nn.l2_loss(mapping)
        step = tf1.train.AdagradOptimizer(learning_rate=rate).minimize(loss)
        session.run(tf1.global_variables_initializer())
        for pair in zip(contexts, responses, strict=True):
            session.run(step, dict(zip((context, response), pair, strict=True)))
        return session.run([mapping, residual])


@pytest.mark.parametrize(("rate", "regularizer"), [(1.0, 0.0), (0.3, 0.1), (10.0, 0.01)])
def test_steps_are_those_of_the_original(rate, regularizer):
    rng = np.random.default_rng(0)
    contexts, responses = unit(rng, 2, STEPS, BATCH, WIDTH)
    weights = orthogonal(WIDTH, rng)
    trainer = MapTrainer(weights, rate, regularizer)
    for context, response in zip(contexts, responses, strict=True):
        trainer.step(context, response)
    expected, residual = originals_steps(weights, contexts, responses, rate, regularizer)
    np.testing.assert_allclose(trainer.map.weights, expected, rtol=0, atol=2e-4 * rate)
    assert trainer.map.residual == pytest.approx(residual, abs=2e-4 * rate)


def test_initial_weights_are_orthogonal():
    matrix = orthogonal(WIDTH, np.random.default_rng(0))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(WIDTH), atol=1e-6)


def test_a_map_adds_a_multiple_of_the_response():
    weights = np.array([[0, 2], [0, 0]], np.float32)
    mapped = LinearMap(weights, 3.0)(np.array([[1, 10]], np.float32))
    np.testing.assert_array_equal(mapped, [[3, 32]])


@pytest.fixture(scope="module")
def rotated():
    """Contexts, and responses that are the contexts rotated, with noise."""
    rng = np.random.default_rng(1)
    contexts = unit(rng, 1000, WIDTH)
    responses = contexts @ orthogonal(WIDTH, rng) + 0.1 * unit(rng, 1000, WIDTH)
    return contexts, responses / np.linalg.norm(responses, axis=1, keepdims=True)


def test_a_rotation_is_learned_and_the_best_of_the_grid_is_taken(rotated):
    grid = {"rates": (1e-4, 3.0), "regularizers": (0.0,)}
    found = learn_map(*rotated, **grid)
    assert (found.rate, found.regularizer) == (3.0, 0.0)
    assert found.unmapped < 0.2
    assert found.accuracy > 0.9
    contexts, responses = rotated
    assert in_batch_accuracy(contexts, found.map(responses)) > 0.9
    again = learn_map(*rotated, **grid)
    np.testing.assert_array_equal(again.map.weights, found.map.weights)


def test_too_few_pairs_are_refused(rotated):
    contexts, responses = rotated
    with pytest.raises(ValueError, match="at least 500 pairs, got 490"):
        learn_map(contexts[:490], responses[:490])
