"""The official tensorflow-serving-api stubs with the server."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

TEXTS = ["hello there", "a b c", ""]


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def predict_request(signature="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def test_predict(stub, vectors):
    response = stub.Predict(predict_request(text=TEXTS), timeout=10)
    assert set(response.outputs) == {"embedding", "num_tokens", "truncated"}
    got = tf.make_ndarray(response.outputs["embedding"])
    np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("tiny", 1, "serving_default")


def test_version_label_and_output_filter(stub):
    request = predict_request(text=TEXTS)
    request.model_spec.version_label = "stable"
    request.output_filter.append("num_tokens")
    response = stub.Predict(request, timeout=10)
    assert list(response.outputs) == ["num_tokens"]
    assert tf.make_ndarray(response.outputs["num_tokens"]).tolist() == [4, 5, 2]


def test_token_ids(stub, vectors):
    tokens = stub.Predict(predict_request("tokenize", text=TEXTS), timeout=10).outputs
    ids = tf.make_ndarray(tokens["token_ids"])
    out = stub.Predict(predict_request("encode_tokens", token_ids=ids), timeout=10).outputs
    np.testing.assert_allclose(tf.make_ndarray(out["embedding"]), vectors(TEXTS), atol=1e-6)


def test_values_are_in_the_typed_fields_that_clients_without_tensorflow_read(stub, vectors):
    outputs = stub.Predict(predict_request(text=TEXTS), timeout=10).outputs
    assert not any(output.tensor_content for output in outputs.values())
    got = np.array(outputs["embedding"].float_val).reshape(3, -1)
    np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)
    assert list(outputs["num_tokens"].int_val) == [4, 5, 2]
    assert list(outputs["truncated"].bool_val) == [False] * 3


def test_what_is_not_offered_is_unimplemented_without_a_traceback(stub, server):
    with pytest.raises(grpc.RpcError) as error:
        stub.MultiInference(inference_pb2.MultiInferenceRequest(), timeout=10)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == "MultiInference is not offered; use Predict"
    assert "Traceback" not in server.log


def huge_tensor():
    proto = tensor_pb2.TensorProto(dtype=tf.string.as_datatype_enum, string_val=[b"a"])
    proto.tensor_shape.dim.add(size=2**40)
    return proto


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_request("nope", text=["a"]), "FAILED_PRECONDITION", 'key "nope" not found.'),
        (predict_request(), "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
        (predict_request(text=["a"], x=["b"]), "INVALID_ARGUMENT", "Sent extra: {x}"),
        (predict_request(text=[1]), "INVALID_ARGUMENT", 'input "text" must be string; got int32'),
        (predict_request(text="a"), "INVALID_ARGUMENT", "must be a list of strings"),
        (predict_request(text=["a"] * 65), "INVALID_ARGUMENT", "the limit is 64"),
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            predict_pb2.PredictRequest(model_spec={"name": "x"}),
            "NOT_FOUND",
            "Servable not found for request: Latest(x)",
        ),
        (
            predict_pb2.PredictRequest(model_spec={"name": "tiny"}, inputs={"text": huge_tensor()}),
            "INVALID_ARGUMENT",
            "does not hold as many values as its shape says",
        ),
    ],
)
def test_errors(stub, request_, code, message):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request_, timeout=10)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    response = stub.GetModelMetadata(request, timeout=10)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert "encode_tokens" in signatures.signature_def


def test_status(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "tiny"})
    (status,) = stub.GetModelStatus(request, timeout=10).model_version_status
    assert (status.version, status.State.Name(status.state)) == (1, "AVAILABLE")


def test_classify_is_refused_for_a_model_without_its_signature(stub):
    request = classification_pb2.ClassificationRequest(model_spec={"name": "tiny"})
    with pytest.raises(grpc.RpcError) as error:
        stub.Classify(request, timeout=10)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
