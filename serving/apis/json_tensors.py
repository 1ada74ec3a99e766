"""TensorFlow Serving's JSON: request bodies to arrays, arrays to response bodies.

Formats, checks and messages follow `tensorflow_serving/util/json_tensor.cc`, with two
intended differences: a value quoted in a message is truncated, and the text of a JSON
syntax error comes from our parser.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import orjson

from rejoinder.serving.apis.json_values import is_base64, quote, to_array
from rejoinder.serving.errors import ServingError, invalid, too_many_items


class PredictBody(NamedTuple):
    """A parsed predict request: inputs by name, and whether the response is row by row."""

    inputs: dict[str, np.ndarray]
    by_row: bool


def parse_object(body: bytes) -> dict[str, Any]:
    """Parses a request body that must be a JSON object.

    Raises:
        ServingError: The body is empty, not JSON, or not an object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {quote(document)} Is not object")
    return document


def signature_name(document: dict[str, Any]) -> str:
    """Returns the name of the requested signature, `serving_default` if none is given.

    Raises:
        ServingError: The name is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {quote(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name or "serving_default"


def auto_truncate(document: dict[str, Any]) -> bool:
    """Returns whether long texts are truncated; TensorFlow Serving has no such key.

    Raises:
        ServingError: The value is not a boolean.
    """
    value = document.get("auto_truncate", True)
    if not isinstance(value, bool):
        raise invalid("auto_truncate must be true or false")
    return value


def parse_predict(
    document: dict[str, Any], dtypes: dict[str, int], *, max_items: int
) -> PredictBody:
    """Converts a predict request to arrays.

    Args:
        document: The request.
        dtypes: Input name → DataType number, all inputs of the signature.
        max_items: Maximum number of instances in a request.

    Returns:
        The arrays by input name, and whether the response is row by row.

    Raises:
        ServingError: The request is too large or does not match the signature.
    """
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only"
            " one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid(
                f"JSON Value: {quote(document)} Excepting 'instances' to be an list/array"
            )
        if not instances:
            raise invalid(f"JSON Value: {quote(document)} No values in 'instances' array")
        if len(instances) > max_items:
            raise too_many_items(len(instances), max_items)
        return PredictBody(_from_instances(instances, dtypes), True)
    if "inputs" in document:
        return PredictBody(_from_inputs(document["inputs"], dtypes), False)
    raise invalid("Missing 'inputs' or 'instances' key")


def format_predictions(outputs: dict[str, np.ndarray], *, by_row: bool) -> bytes:
    """Returns the response body: `predictions` by row or `outputs` by column."""
    single = len(outputs) == 1
    if by_row:
        columns = list(outputs.values())
        names = list(outputs)
        rows: Any = (
            list(columns[0])
            if single
            else [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        )
        document = {"predictions": rows}
    else:
        document = {"outputs": next(iter(outputs.values())) if single else outputs}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def format_error(message: str) -> bytes:
    """Returns the body of an error with TensorFlow Serving's whitespace."""
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode(
        "utf-8", "backslashreplace"
    )


def _from_instances(instances: list[Any], dtypes: dict[str, int]) -> dict[str, np.ndarray]:
    if not isinstance(instances[0], dict) and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    named = _is_named(instances[0])
    columns: dict[str, list[np.ndarray]] = {name: [] for name in dtypes}
    for item, instance in enumerate(instances):
        if named != _is_named(instance):
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {item} of input list")
        cells = instance if named else {next(iter(dtypes)): instance}
        for name, value in cells.items():
            prefix = f"Failed to process element: {item} "
            prefix += f"key: {name} of 'instances' list." if named else "of 'instances' list."
            try:
                _add_cell(columns, name, value, dtypes)
            except ServingError as error:
                raise invalid(f"{prefix} Error: INVALID_ARGUMENT: {error.message}") from None
        if named and instance.keys() != dtypes.keys():
            raise invalid(
                f"Failed to process element: {item} of 'instances' list. JSON object: "
                f"{quote(instance)} keys must be equal to: {','.join(sorted(dtypes))}"
            )
    return {name: np.stack(cells) for name, cells in columns.items()}


def _add_cell(
    columns: dict[str, list[np.ndarray]], name: str, value: Any, dtypes: dict[str, int]
) -> None:
    if name not in dtypes:
        raise invalid(f"JSON object: does not have named input: {name}")
    cell, column = to_array(value, dtypes[name]), columns[name]
    if column and column[0].size != cell.size:
        raise invalid(f"Expecting tensor size: {column[0].size} but got: {cell.size}")
    if column and column[0].shape != cell.shape:
        raise invalid(f"Expecting shape {_shape(column[0])} but got: {_shape(cell)}")
    column.append(cell)


def _from_inputs(inputs: Any, dtypes: dict[str, int]) -> dict[str, np.ndarray]:
    if not _is_named(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        name, dtype = next(iter(dtypes.items()))
        return {name: to_array(inputs, dtype)}
    for name in dtypes:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(inputs[name], dtype) for name, dtype in dtypes.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
