"""TensorFlow Serving's REST API: predict, model status, model metadata.

Paths and precedence follow `http_rest_api_util.cc`. The names in a path are only keys
of dictionaries; they never reach the file system.
"""

import re
from typing import Any
from urllib.parse import unquote

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from rejoinder.serving.apis.json_tensors import (
    auto_truncate,
    format_predictions,
    parse_object,
    parse_predict,
    signature_name,
)
from rejoinder.serving.apis.openai import TOO_LONG, model_entry
from rejoinder.serving.apis.responses import encoded_json_response, report
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.limits import Limits

_CHOICE = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_CHOICE}:(?P<method>classify|regress|predict)", re.I | re.A
)
_STATUS = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_CHOICE}(?P<metadata>/metadata)?", re.I | re.A
)
_METHOD_NAMES = {
    "classify": "Expected classification signature method_name to be tensorflow/serving/classify",
    "regress": "Expected a regression signature method_name to be tensorflow/serving/regress",
}
_MAX_VERSION = 2**63 - 1


class RestApi:
    """Handlers for everything under `/v1/models/`."""

    def __init__(self, registry: Registry, predictor: Predictor, limits: Limits):
        self._limits = limits
        self._registry = registry
        self._predictor = predictor

    async def handle(self, request: Request, body: bytes) -> Response:
        """Handles any method on any path under `/v1/models/`."""
        # The raw path, because an encoded slash is part of a name.
        path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
            return await self._predict(match, body)
        if request.method == "GET" and (match := _STATUS.fullmatch(path)):
            return self._status(match)
        raise invalid(f"Malformed request: {request.method} {path}")

    async def _predict(self, match: re.Match[str], body: bytes) -> Response:
        method = match["method"].lower()
        if method != "predict":
            version = self._version(match)
            used = version.signature_defs["serving_default"].method_name
            raise invalid(f"{_METHOD_NAMES[method]}. Was: {used}")
        document = parse_object(body)
        signature = signature_name(document)
        version = self._version(match)
        definition = signature_definition(version, signature)
        dtypes = {name: info.dtype for name, info in definition.inputs.items()}
        inputs, by_row = parse_predict(document, dtypes, max_items=self._limits.max_items)
        too_long = None if auto_truncate(document) else TOO_LONG
        prediction = await self._predictor.predict(version, signature, inputs, too_long=too_long)
        response = encoded_json_response(format_predictions(prediction.outputs, by_row=by_row))
        return report(response, prediction.truncated)

    def _status(self, match: re.Match[str]) -> Response:
        if match["name"] is None:
            raise invalid("Missing model name in request.")
        if match["metadata"]:
            return encoded_json_response(
                metadata_json(unquote(match["name"]), self._version(match))
            )
        number, label = _number(match), match["label"]
        if label is not None:
            number = self._version(match).number
        name = unquote(match["name"])
        status = json_format.MessageToDict(
            model_status(self._registry, name, number), always_print_fields_with_no_presence=True
        )
        # OpenAI's clients read the path without a version, too.
        document = status if number is not None else {**model_entry(name), **status}
        return encoded_json_response(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def _version(self, match: re.Match[str]) -> ModelVersion:
        label = match["label"]
        return self._registry.version(
            unquote(match["name"]), _number(match), None if label is None else unquote(label)
        )


def signature_definition(version: ModelVersion, signature: str) -> Any:
    """Returns a SignatureDef.

    Raises:
        ServingError: 400, because the model has no signature of this name.
    """
    definition = version.signature_defs.get(signature)
    if definition is None or not definition.inputs:
        raise invalid(f'Serving signature name: "{signature}" not found in signature def')
    return definition


def model_status(
    registry: Registry, name: str, number: int | None
) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the states of all versions of a model, or of one.

    Raises:
        ServingError: 404, because there is no such model or version.
    """
    states = registry.model(name).states
    if number is not None and number not in states:
        raise ServingError(Code.NOT_FOUND, f"Could not find version {number} of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    wanted = sorted(states, reverse=True) if number is None else [number]
    for version in wanted:
        entry = response.model_version_status.add(version=version)
        entry.state = entry.State.Value(states[version].state)
        if states[version].error:
            entry.status.error_code = 2  # UNKNOWN; the reason is in the server's log
            entry.status.error_message = "the version could not be loaded"
        else:
            entry.status.error_code = 0
    return response


def metadata_json(name: str, version: ModelVersion) -> bytes:
    """Returns the metadata of a version: its model spec and signatures."""
    spec = model_pb2.ModelSpec(name=name)
    spec.version.value = version.number
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=version.signature_defs)
    return orjson.dumps(
        {
            "model_spec": _message(spec),
            "metadata": {"signature_def": _message(signatures)},
        },
        option=orjson.OPT_INDENT_2,
    )


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
    return fields


def _number(match: re.Match[str]) -> int | None:
    text = match["version"]
    if text is None:
        return None
    if len(text) > 19 or int(text) > _MAX_VERSION:
        raise invalid(f"Failed to convert version: {text} to numeric.")
    return int(text)
