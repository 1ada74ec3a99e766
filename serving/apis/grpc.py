"""TensorFlow Serving's gRPC services.

`PredictionService.Predict` and `GetModelMetadata`, `ModelService.GetModelStatus`.
Classify and Regress return TensorFlow Serving's error for a model without such
signatures; MultiInference, which runs both, is UNIMPLEMENTED. Health checks,
reflection and limits are in `grpc_health`, `grpc_reflection` and `grpc_gate`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NoReturn

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from rejoinder.serving.apis.grpc_gate import GrpcGate, UnaryMethod
from rejoinder.serving.apis.grpc_health import HealthService
from rejoinder.serving.apis.grpc_reflection import ReflectionService
from rejoinder.serving.apis.rest import model_status
from rejoinder.serving.apis.tensor_proto import fill, to_array
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.service import Service

_UNREAD_BYTES = 64 * 2**10


class _GrpcService:
    """What both services share."""

    name: ClassVar[str]

    def __init__(self, service: Service, gate: GrpcGate):
        self._service = service
        self._gate = gate

    @property
    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        raise NotImplementedError

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        """The service's methods, for a server."""
        handlers = {name: self._gate.unary(method) for name, method in self.methods.items()}
        return grpc.method_handlers_generic_handler(self.name, handlers)

    def _version(self, spec: model_pb2.ModelSpec) -> ModelVersion:
        if not spec.name:
            raise invalid("Missing ModelSpec")
        choice = spec.WhichOneof("version_choice")
        return self._service.registry.version(
            spec.name,
            spec.version.value if choice == "version" else None,
            spec.version_label if choice == "version_label" else None,
        )


class PredictionService(_GrpcService):
    """`tensorflow.serving.PredictionService`."""

    name = "tensorflow.serving.PredictionService"

    @property
    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {
            "Predict": UnaryMethod(
                "predict", predict_pb2.PredictRequest, predict_pb2.PredictResponse, self._predict
            ),
            "GetModelMetadata": UnaryMethod(
                "metadata",
                get_model_metadata_pb2.GetModelMetadataRequest,
                get_model_metadata_pb2.GetModelMetadataResponse,
                self._metadata,
            ),
            "Classify": UnaryMethod(
                "classify",
                classification_pb2.ClassificationRequest,
                classification_pb2.ClassificationResponse,
                self._classify,
            ),
            "Regress": UnaryMethod(
                "regress",
                regression_pb2.RegressionRequest,
                regression_pb2.RegressionResponse,
                self._regress,
            ),
            "MultiInference": UnaryMethod(
                "multi_inference",
                inference_pb2.MultiInferenceRequest,
                inference_pb2.MultiInferenceResponse,
                self._multi_inference,
            ),
        }

    async def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        version = self._version(request.model_spec)
        signature = request.model_spec.signature_name or "serving_default"
        definition = version.signature_defs.get(signature)
        if definition is None or not definition.inputs:
            raise ServingError(
                Code.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.'
            )
        inputs = _inputs(request, definition)
        wanted = _wanted_outputs(request, definition)
        outputs = (await self._service.predictor.predict(version, signature, inputs)).outputs
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version.number
        response.model_spec.signature_name = signature
        for name in wanted:
            fill(response.outputs[name], outputs[name])
        return response

    async def _metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        version = self._version(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version.number
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=version.signature_defs)
        response.metadata["signature_def"].Pack(signatures)
        return response

    async def _classify(self, request: classification_pb2.ClassificationRequest) -> NoReturn:
        self._refuse(request, "classification")

    async def _regress(self, request: regression_pb2.RegressionRequest) -> NoReturn:
        self._refuse(request, "regression")

    async def _multi_inference(self, request: inference_pb2.MultiInferenceRequest) -> NoReturn:
        raise ServingError(Code.UNIMPLEMENTED, "MultiInference is not offered; use Predict")

    def _refuse(self, request: Any, kind: str) -> NoReturn:
        version = self._version(request.model_spec)
        used = version.signature_defs["serving_default"].method_name
        raise invalid(f"Expected {kind} signature method_name. Was: {used}")


class ModelService(_GrpcService):
    """`tensorflow.serving.ModelService`."""

    name = "tensorflow.serving.ModelService"

    @property
    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {
            "GetModelStatus": UnaryMethod(
                "status",
                get_model_status_pb2.GetModelStatusRequest,
                get_model_status_pb2.GetModelStatusResponse,
                self._status,
            )
        }

    async def _status(self, request: Any) -> Any:
        spec = request.model_spec
        if not spec.name:
            raise invalid("Missing ModelSpec")
        choice = spec.WhichOneof("version_choice")
        number = None if choice is None else self._status_number(spec, choice)
        return model_status(self._service.registry, spec.name, number)

    def _status_number(self, spec: model_pb2.ModelSpec, choice: str) -> int:
        return spec.version.value if choice == "version" else self._version(spec).number


def _inputs(request: predict_pb2.PredictRequest, definition: Any) -> dict[str, np.ndarray]:
    given, wanted = set(request.inputs), set(definition.inputs)
    if given != wanted:
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(wanted)} "
            f"len({{{','.join(sorted(given))}}}) != len({{{','.join(sorted(wanted))}}}). "
            f"Sent extra: {{{','.join(sorted(given - wanted))}}}. "
            f"Missing but required: {{{','.join(sorted(wanted - given))}}}."
        )
    arrays = {}
    for name, info in definition.inputs.items():
        tensor = request.inputs[name]
        if tensor.dtype != info.dtype:
            raise invalid(
                f'input "{name}" must be {_dtype(info.dtype)}; got {_dtype(tensor.dtype)}'
            )
        arrays[name] = _array(name, tensor)
    return arrays


def _array(name: str, tensor: Any) -> np.ndarray:
    """Returns the array of a TensorProto; its shape comes from the client and is checked."""
    elements = 1
    for dimension in tensor.tensor_shape.dim:
        elements *= max(0, dimension.size)
    # A proto may encode a huge array of one repeated value, which no signature needs.
    if tensor.tensor_shape.unknown_rank or elements > max(1, tensor.ByteSize()):
        raise invalid(f'input "{name}" does not hold as many values as its shape says')
    try:
        return to_array(tensor)
    except (ValueError, TypeError):
        raise invalid(f'input "{name}" is not a well-formed tensor') from None


def _wanted_outputs(request: predict_pb2.PredictRequest, definition: Any) -> list[str]:
    wanted = list(request.output_filter) or sorted(definition.outputs)
    for name in wanted:
        if name not in definition.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {{{','.join(sorted(definition.outputs))}}}."
            )
    if len(set(wanted)) < len(wanted):
        raise invalid("duplicate output tensor alias")
    return wanted


def _dtype(number: int) -> str:
    return str(types_pb2.DataType.Name(number)).removeprefix("DT_").lower()


@asynccontextmanager
async def grpc_server(service: Service, host: str, port: int) -> AsyncIterator[int]:
    """Runs the gRPC server inside the context; yields the port it listens on."""
    limit = service.limits.max_body_bytes
    server = grpc.aio.server(
        maximum_concurrent_rpcs=service.limits.max_connections,
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.so_reuseport", 0),
            # What a client may send of a message that is not read yet. gRPC would raise it.
            ("grpc.http2.lookahead_bytes", _UNREAD_BYTES),
            ("grpc.http2.bdp_probe", 0),
        ],
    )
    gate = GrpcGate(service)
    services: list[_GrpcService] = [
        PredictionService(service, gate),
        ModelService(service, gate),
    ]
    health = HealthService(service, [each.name for each in services])
    reflection = ReflectionService(service, {each.name: each.methods for each in services})
    handlers = [*(each.handler for each in services), health.handler, reflection.handler]
    server.add_generic_rpc_handlers(handlers)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    bound = server.add_insecure_port(address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(service.limits.drain_seconds)
