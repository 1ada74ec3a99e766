"""The exported folder: signatures and files."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from rejoinder.models.saved_model.buckets import bucket_widths, encode_by_bucket
from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.models.saved_model.testing import DIMENSION, TinyEncoder, TinyTokenizer, publish_tiny
from rejoinder.models.saved_model.warmup import WARMUP_FILE

TEXT_SIGNATURES = ("serving_default", "encode_context", "encode_response", "tokenize")
TEXTS = ["", "hello", "a b c d e f g h i j k l", "x " * 100]


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return publish_tiny(tmp_path_factory.mktemp("exports") / "tiny")


@pytest.fixture(scope="module")
def signatures(version):
    loaded = tf.saved_model.load(str(version))
    return dict(loaded.signatures.items()) | {"_keep": loaded}


def expected_embeddings(texts):
    tokens = TinyTokenizer()(tf.constant(texts), max_length=32)
    return TinyEncoder()({"token_ids": tokens.ids.to_tensor(1)}).numpy()


def test_a_text_gives_its_embedding(signatures):
    out = signatures["serving_default"](text=tf.constant(TEXTS))
    assert set(out) == {"embedding", "num_tokens", "truncated"}
    np.testing.assert_allclose(out["embedding"], expected_embeddings(TEXTS), atol=1e-6)
    assert out["num_tokens"].numpy().tolist() == [2, 3, 14, 32]
    assert out["truncated"].numpy().tolist() == [False, False, False, True]


@pytest.mark.parametrize("name", ["encode_context", "encode_response"])
def test_context_and_response_share_the_tower(signatures, name):
    out = signatures[name](text=tf.constant(TEXTS))
    np.testing.assert_allclose(out["embedding"], expected_embeddings(TEXTS), atol=1e-6)


def test_a_context_with_earlier_turns_is_the_sum_of_both(signatures):
    turns = ["", "a b", "", "y " * 100]
    out = signatures["encode_multi_context"](
        text=tf.constant(TEXTS), extra_contexts=tf.constant(turns)
    )
    alone = signatures["serving_default"](text=tf.constant(TEXTS))
    both = expected_embeddings(TEXTS) + expected_embeddings(turns)
    both /= np.linalg.norm(both, axis=-1, keepdims=True)
    for row, turn in enumerate(turns):
        expected = both[row] if turn else alone["embedding"][row]
        np.testing.assert_allclose(out["embedding"][row], expected, atol=1e-6)
    assert out["num_tokens"].numpy().tolist() == [2, 3 + 4, 14, 32 + 32]
    assert out["truncated"].numpy().tolist() == [False, False, False, True]


def test_contexts_and_earlier_turns_must_be_as_many(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="the same number of rows"):
        signatures["encode_multi_context"](
            text=tf.constant(TEXTS), extra_contexts=tf.constant(TEXTS[:1])
        )


def test_score_is_the_cosine_of_each_pair(signatures):
    contexts, responses = tf.constant(TEXTS[1:]), tf.constant(TEXTS[:3])
    out = signatures["score"](context=contexts, response=responses)
    expected = np.sum(expected_embeddings(TEXTS[1:]) * expected_embeddings(TEXTS[:3]), -1)
    np.testing.assert_allclose(out["score"], expected, atol=1e-6)


def test_tokenize_and_encode_tokens_equal_the_text_signature(signatures):
    tokens = signatures["tokenize"](text=tf.constant(TEXTS))
    assert tokens["token_ids"].shape == (4, 32)
    out = signatures["encode_tokens"](token_ids=tokens["token_ids"])
    np.testing.assert_allclose(out["embedding"], expected_embeddings(TEXTS), atol=1e-6)


def test_an_empty_batch_gives_an_empty_result(signatures):
    out = signatures["serving_default"](text=tf.constant([], tf.string))
    assert out["embedding"].shape == (0, DIMENSION)


def test_too_wide_token_rows_are_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 32 columns"):
        signatures["encode_tokens"](token_ids=tf.zeros([1, 33], tf.int32))


def test_the_numeric_part_has_no_string_operation(version):
    module = tf.saved_model.load(str(version))
    graph = module.encode_token_ids.get_concrete_function().graph
    dtypes = {tensor.dtype for op in graph.get_operations() for tensor in op.outputs}
    assert tf.string not in dtypes


def test_the_width_of_a_text_does_not_depend_on_other_texts():
    shapes = []

    def encode(ids):
        shapes.append(ids.shape.as_list())
        return tf.reduce_sum(tf.cast(ids, tf.float32), 1, keepdims=True)

    ids = tf.ragged.constant([[1] * 30, [1] * 3, [1] * 9, [1] * 4], dtype=tf.int32)
    out = encode_by_bucket(encode, ids, widths=(4, 16, 32), dimension=1, pad_id=0)
    assert out.numpy().ravel().tolist() == [30, 3, 9, 4]
    assert shapes == [[2, 4], [1, 16], [1, 32]]


def test_a_step_has_a_maximum_number_of_tokens():
    sizes = []

    def encode(ids):
        sizes.append(ids.shape.num_elements())
        return tf.cast(ids[:, :1], tf.float32)

    ids = tf.RaggedTensor.from_tensor(tf.reshape(tf.range(100), [50, 2]))
    out = encode_by_bucket(encode, ids, widths=(2, 4), dimension=1, pad_id=0, max_step_tokens=16)
    assert max(sizes) == 16
    assert out.numpy().ravel().tolist() == list(range(0, 100, 2))


def test_widths_end_with_the_limit():
    assert bucket_widths(128)[-1] == 128
    assert bucket_widths(5) == (5,)
    with pytest.raises(ValueError, match="positive"):
        bucket_widths(0)


def test_the_manifest_lists_every_file_with_its_hash(version):
    manifest = ExportManifest.read(version)
    on_disk = {p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()}
    assert set(manifest.files) == on_disk - {"manifest.json"}
    for name, entry in manifest.files.items():
        data = (version / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert (manifest.dimension, manifest.max_length) == (DIMENSION, 32)


def test_the_warmup_file_has_a_record_for_each_signature_and_width(version):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    seen = []
    module = tf.saved_model.load(str(version))
    for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "tiny"
        inputs = {key: tf.constant(tf.make_ndarray(t)) for key, t in request.inputs.items()}
        module.signatures[request.model_spec.signature_name](**inputs)
        for name, value in inputs.items():
            if name == "token_ids":
                width = value.shape[1]
            else:
                width = int(TinyTokenizer()(value, max_length=32).num_tokens[0])
            seen.append((request.model_spec.signature_name, name, width))
    wanted = [(name, "text") for name in TEXT_SIGNATURES]
    wanted += [("encode_multi_context", "text"), ("encode_multi_context", "extra_contexts")]
    wanted += [("score", "context"), ("score", "response"), ("encode_tokens", "token_ids")]
    assert sorted(seen) == sorted((*one, width) for one in wanted for width in bucket_widths(32))


def test_the_batching_parameters_are_valid_protobuf_text(version):
    # tensorflow_serving.BatchingParameters, which no Python package ships.
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="t", dependency=["google/protobuf/wrappers.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"), 1
    ):
        message.field.add(
            name=name, number=number, type=11, type_name=".google.protobuf.Int64Value"
        )
    message.field.add(name="pad_variable_length_inputs", number=7, type=8)
    message.field.add(
        name="enable_large_batch_splitting",
        number=8,
        type=11,
        type_name=".google.protobuf.BoolValue",
    )
    message.field.add(
        name="max_execution_batch_size",
        number=9,
        type=11,
        type_name=".google.protobuf.Int64Value",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    parameters = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("t.BatchingParameters")
    )()
    text_format.Parse((version / "batching_params.pbtxt").read_text(), parameters)
    assert parameters.max_batch_size.value == 64
