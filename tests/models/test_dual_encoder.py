import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from rejoinder.models.dual_encoder import DualEncoder
from rejoinder.models.packing import pack


@pytest.fixture
def pairs(ragged_ids):
    """20 contexts and 20 responses, plain and packed."""
    plain = {
        "context": {"token_ids": ragged_ids[:20].to_tensor(1)},
        "response": {"token_ids": ragged_ids[20:].to_tensor(1)},
    }
    packed = pack(ragged_ids, row_length=40, num_rows=20, max_segments=6, pad_id=1)
    names = ("token_ids", "segment_ids", "positions", "slots")
    return plain, {name: getattr(packed, name) for name in names}


def test_packed_pairs_equal_plain_ones_and_the_towers_are_one(make_encoder, pairs):
    encoder = make_encoder()
    model = DualEncoder(encoder)
    plain = model(pairs[0], training=False)
    packed = model(pairs[1], training=False, max_segments=6)
    for one, other, side in zip(plain, packed, ("context", "response"), strict=True):
        assert one.shape == other.shape == [20, 16]
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_array_equal(one, encoder(pairs[0][side], training=False))
    assert len(model.trainable_variables) == len(encoder.trainable_variables)


@pytest.mark.parametrize("form", [0, 1], ids=["plain", "packed"])
def test_dropout_follows_the_seed(make_encoder, pairs, form):
    model = DualEncoder(make_encoder(dropout=0.2))
    segments = 6 if form else None

    def run(seed):
        return model(pairs[form], training=True, max_segments=segments, seed=seed)

    for one, again in zip(run(tf.constant([1, 2])), run(tf.constant([1, 2])), strict=True):
        np.testing.assert_array_equal(one, again)
    assert np.abs(run(None)[0] - run(None)[0]).max() > 0.01


def test_a_context_and_the_same_response_get_different_masks(make_encoder, pairs):
    model = DualEncoder(make_encoder(dropout=0.2))
    same = {"context": pairs[0]["context"], "response": pairs[0]["context"]}
    context, response = model(same, training=True, seed=tf.constant([1, 2]))
    assert np.abs(context - response).max() > 0.01


@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_variable_gets_a_gradient_in_packed_bfloat16_training(
    make_encoder, pairs, jit_compile
):
    model = DualEncoder(make_encoder(dtype="mixed_bfloat16", dropout=0.1))

    @tf.function(jit_compile=jit_compile)
    def step(inputs):
        with tf.GradientTape() as tape:
            context, response = model(inputs, training=True, max_segments=6)
            scores = 20.0 * tf.matmul(context, response, transpose_b=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(20), scores)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        return loss, [tf.norm(tf.convert_to_tensor(gradient)) for gradient in gradients]

    loss, norms = step(pairs[1])
    assert np.isfinite(loss)
    for variable, norm in zip(model.trainable_variables, norms, strict=True):
        assert np.isfinite(norm), variable.name
        # Softmax does not see what is added to all keys alike, so the key third
        # of this bias has none; the whole has.
        assert norm > 0, variable.name


def test_is_restored_from_its_config_and_from_a_file(make_encoder, pairs, tmp_path):
    model = DualEncoder(make_encoder())
    copy = DualEncoder.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    expected = model(pairs[0])
    model.save(tmp_path / "dual.keras")
    restored = tf_keras.models.load_model(tmp_path / "dual.keras")
    for one, other in zip(restored(pairs[0]), expected, strict=True):
        np.testing.assert_array_equal(one, other)
