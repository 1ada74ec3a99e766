"""The form in which the encoder is given to OpenVINO."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.saved_model import openvino_model
from rejoinder.models.saved_model.openvino_fusions import fuse
from rejoinder.models.saved_model.openvino_model import OpenVinoEncoder
from rejoinder.models.saved_model.signatures import ServingModule
from rejoinder.models.saved_model.testing import TinyTokenizer
from rejoinder.models.sentence_encoder import SentenceEncoder

LAYERS = 2
# Two rows: one with two texts and padding, one with a single text.
IDS = np.array([[0, 7, 2, 0, 9, 8, 2, 1], [0, 3, 4, 5, 6, 7, 8, 2]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 2, 2, 2, 2, 0], [1] * 8], np.int32)
POSITIONS = np.array([[0, 1, 2, 0, 1, 2, 3, 0], [*range(8)]], np.int32)


@pytest.fixture(scope="module")
def module():
    """An MPNet of two layers with random weights."""
    tf.random.set_seed(1)
    config = MPNetConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        initializer_range=0.2,
    )
    encoder = SentenceEncoder(config, dtype="float32")
    for variable in encoder.trainable_variables:  # the converter drops offsets of zero
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.1))
    return ServingModule(TinyTokenizer(), encoder, max_length=32, dimension=32)


@pytest.fixture(scope="module")
def fused(module):
    pytest.importorskip("openvino")
    model = openvino_model.convert(module.encode_packed.get_concrete_function())
    fuse(model)
    return model


def kinds(model):
    return Counter(node.get_type_name() for node in model.get_ordered_ops())


def test_each_normalization_and_each_attention_takes_the_form_that_openvino_fuses(fused):
    found = kinds(fused)
    assert found["MVN"] == 2 * LAYERS + 1
    assert found["Softmax"] == LAYERS
    assert found["Split"] == found["Squeeze"] == 0
    # Query, key, value and context of each layer; and one bias, which all layers share.
    assert found["Transpose"] == 4 * LAYERS + 1


def test_the_fused_model_embeds_packed_rows_as_tensorflow_does(module, fused):
    expected = module.encode_packed(*map(tf.constant, (IDS, SEGMENTS, POSITIONS))).numpy()
    found = OpenVinoEncoder(fused, bfloat16=False)(IDS, SEGMENTS, POSITIONS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_graph_of_another_form_stays_as_it_is():
    openvino = pytest.importorskip("openvino")
    from openvino import opset13

    values = opset13.parameter([2, 4], np.float32)
    scaled = opset13.multiply(values, opset13.power(values, np.float32(-0.5)))
    model = openvino.Model([opset13.softmax(scaled, 1)], [values])
    before = kinds(model)
    fuse(model)
    assert kinds(model) == before
