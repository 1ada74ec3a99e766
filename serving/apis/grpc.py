"""TensorFlow Serving's gRPC services.

`PredictionService.Predict` and `GetModelMetadata`, `ModelService.GetModelStatus`.
Classify and Regress return TensorFlow Serving's error for a model without such
signatures; MultiInference, which runs both, is UNIMPLEMENTED.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from rejoinder.serving.apis.rest import model_status
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError, invalid, log_failure
from rejoinder.serving.service import Service

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class _Servicer:
    """What both services share: keys, errors and metrics."""

    def __init__(self, service: Service):
        self._service = service

    async def _run(
        self, context: grpc.aio.ServicerContext, name: str, work: Coroutine[Any, Any, Any]
    ) -> Any:
        """Awaits `work` and converts its errors to gRPC statuses."""
        metrics = self._service.metrics
        code = "OK"
        try:
            metadata = dict(context.invocation_metadata() or ())
            self._service.keys.check(str(metadata.get("authorization", "")))
            return await work
        except ServingError as error:
            code = error.code.name
            if error.code is Code.INTERNAL and error.__cause__ is not None:
                log_failure(error.__cause__)
            if retry := error.headers.get("Retry-After"):
                context.set_trailing_metadata((("retry-after", retry),))
            status, message = _CODES[error.code.grpc], error.message
        except Exception as error:
            code = "INTERNAL"
            log_failure(error)
            status, message = grpc.StatusCode.INTERNAL, "internal error"
        finally:
            work.close()  # not started if the key was refused
            metrics.requests.labels(f"grpc_{name}", code).inc()
        await context.abort(status, message)

    def _version(self, spec: model_pb2.ModelSpec) -> ModelVersion:
        if not spec.name:
            raise invalid("Missing ModelSpec")
        choice = spec.WhichOneof("version_choice")
        return self._service.registry.version(
            spec.name,
            spec.version.value if choice == "version" else None,
            spec.version_label if choice == "version_label" else None,
        )


class PredictionService(_Servicer, prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService`."""

    async def Predict(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Runs a signature."""
        return await self._run(context, "predict", self._predict(request))

    async def GetModelMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Returns the signatures of a version."""
        return await self._run(context, "metadata", self._metadata(request))

    async def Classify(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Refuses: the model has no classification signature."""
        return await self._run(context, "classify", self._refuse(request, "classification"))

    async def Regress(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Refuses: the model has no regression signature."""
        return await self._run(context, "regress", self._refuse(request, "regression"))

    async def MultiInference(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Refuses: the model has neither of the signatures that it runs."""
        return await self._run(context, "multi_inference", self._unimplemented())

    async def _unimplemented(self) -> None:
        raise ServingError(Code.UNIMPLEMENTED, "MultiInference is not offered; use Predict")

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
            _fill(response.outputs[name], outputs[name])
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

    async def _refuse(self, request: Any, kind: str) -> None:
        version = self._version(request.model_spec)
        used = version.signature_defs["serving_default"].method_name
        raise invalid(f"Expected {kind} signature method_name. Was: {used}")


class ModelService(_Servicer, model_service_pb2_grpc.ModelServiceServicer):
    """`tensorflow.serving.ModelService`."""

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        """Returns the states of a model's versions."""
        return await self._run(context, "status", self._status(request))

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
        return np.asarray(tf.make_ndarray(tensor))
    except (ValueError, TypeError):
        raise invalid(f'input "{name}" is not a well-formed tensor') from None


# Fields of TensorProto that hold the values of the signatures' outputs.
_VALUES = {"float32": "float_val", "int32": "int_val", "bool": "bool_val"}


def _fill(tensor: Any, array: np.ndarray) -> None:
    """Writes an array to a TensorProto as TensorFlow Serving does by default.

    It fills the typed fields, which clients without TensorFlow read, not `tensor_content`.
    """
    tensor.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, _VALUES[array.dtype.name]).extend(array.ravel().tolist())


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
        options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(service), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(service), server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    bound = server.add_insecure_port(address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(service.limits.drain_seconds)
