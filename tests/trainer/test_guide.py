"""Negatives that a guide finds closer than the true partner are no columns."""

import numpy as np
import tensorflow as tf

from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.loss import contrastive_loss

PAIRS, SCALE = 4, 20.0


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_columns_that_the_guide_finds_closer_are_removed_in_both_directions():
    rng = np.random.default_rng(1)
    context, response = unit(rng, 2, PAIRS, 8)
    guide_context, guide_response = np.rint(100 * unit(rng, 2, PAIRS, 6)).astype(np.int8)
    options = LossOptions(mask_duplicates=False, guide=True)
    features = {"guide_context": guide_context, "guide_response": guide_response}
    features = {name: tf.constant(value) for name, value in features.items()}
    found = contrastive_loss(tf.constant(context), tf.constant(response), SCALE, features, options)

    similar = guide_context.astype(int) @ guide_response.astype(int).T
    scores, losses, removed = SCALE * context @ response.T, np.zeros(PAIRS), 0
    for row in range(PAIRS):
        for guide, own in ((similar[row], scores[row]), (similar[:, row], scores[:, row])):
            kept = guide <= similar[row, row]
            removed += np.count_nonzero(~kept)
            losses[row] += (np.log(np.sum(np.exp(own[kept]))) - own[row]) / 2
    assert 0 < removed < 2 * PAIRS * (PAIRS - 1)
    np.testing.assert_allclose(found.per_pair, losses, rtol=1e-5)


def test_equal_texts_are_removed_as_well():
    rng = np.random.default_rng(1)
    context, response = map(tf.constant, unit(rng, 2, PAIRS, 8))
    keys = tf.constant([[1, 1], [2, 2], [1, 1], [3, 3]])
    others = tf.constant([[5, 5], [6, 6], [7, 7], [8, 8]])
    same = tf.ones([PAIRS, 6], tf.int8)  # a guide for which all pairs are alike removes nothing
    features = {"context_key": keys, "response_key": others}
    guided = features | {"guide_context": same, "guide_response": same}
    plain = contrastive_loss(context, response, SCALE, features, LossOptions())
    both = contrastive_loss(context, response, SCALE, guided, LossOptions(guide=True))
    np.testing.assert_array_equal(plain.per_pair, both.per_pair)
