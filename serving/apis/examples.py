"""Examples of requests and answers in the OpenAPI description, which `/docs` shows.

`page/examples.json` is made by tests/serving/apis/test_examples.py, which sends the requests to a
server with a small test model and compares the answers.
"""

from importlib.resources import files
from typing import Any

import orjson

# The name of the test's model in the examples, and the other parts of paths.
EXAMPLE_MODEL = "tiny"
PARAMETERS = {"name": EXAMPLE_MODEL, "version": 1, "label": "stable"}


def read_examples() -> dict[str, dict[str, Any]]:
    """Returns operationId → `answer` and, for a POST, `body`."""
    content = files("rejoinder.serving").joinpath("page", "examples.json").read_bytes()
    examples: dict[str, dict[str, Any]] = orjson.loads(content)
    return examples


def add_examples(description: dict[str, Any], model: str) -> None:
    """Adds the examples to an OpenAPI description.

    Args:
        description: The description, which is changed.
        model: A served model, which the examples name.
    """
    examples = _renamed(read_examples(), model)
    parameters = _renamed(PARAMETERS, model)
    for methods in description["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                parameter["example"] = parameters[parameter["name"]]
            example = examples.get(operation["operationId"])
            if example is not None:
                _json(operation["responses"]["200"])["example"] = example["answer"]
                if "requestBody" in operation:
                    _json(operation["requestBody"])["example"] = example["body"]


def _json(message: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = message["content"]["application/json"]
    return content


def _renamed(value: Any, model: str) -> Any:
    """Returns a JSON value in which `model` stands for the test's model."""
    if isinstance(value, dict):
        return {key: _renamed(item, model) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, model) for item in value]
    return model if value == EXAMPLE_MODEL else value
