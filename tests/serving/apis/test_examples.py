"""The examples of `/docs` are requests that the server answers so.

`REJOINDER_WRITE_EXAMPLES=1 pytest tests/serving/apis/test_examples.py` writes them again.
"""

import json
import os
from pathlib import Path

import httpx
import pytest

from rejoinder.serving.apis import examples
from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.apis.operations import OPERATIONS
from rejoinder.serving.limits import Limits

EXAMPLES = Path(examples.__file__).parents[1] / "page" / "examples.json"
TEXTS = ["My bike chain keeps slipping.", "Measure the chain for stretch."]
PREDICT = {"inputs": TEXTS}
BODIES = {
    "predict": PREDICT,
    "predict_of_version": {"signature_name": "encode_context", "instances": [{"text": TEXTS[0]}]},
    "predict_of_label": {
        "signature_name": "score",
        "inputs": {"context": TEXTS[:1], "response": TEXTS[1:]},
    },
    "embeddings": {"model": "tiny", "input": TEXTS},
    "cohere_embed": {
        "model": "tiny",
        "texts": TEXTS[:1],
        "input_type": "search_document",
        "embedding_types": ["float", "int8", "ubinary"],
    },
    "tei_embed": {"inputs": TEXTS[0]},
    "tei_embed_at_root": {"inputs": TEXTS[0]},
    "similarity": {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS}},
    "tokenize": {"model": "tiny", "input": TEXTS[0]},
    "search": {"index": "small", "input": "red green", "k": 2, "model": "tiny"},
}
# Other in each answer, in each release, or with each number of cores.
CHANGING = {"id", "version", "max_batch_tokens"}


def answer(url, identifier):
    """Returns what the server answers to an example's request."""
    operation = OPERATIONS[identifier]
    path = operation.path.format_map(examples.PARAMETERS)
    body = BODIES.get(identifier)
    response = httpx.request(operation.method, f"{url}{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def rounded(value):
    """Returns a JSON value with numbers of four decimals."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def steady(value):
    """Returns a JSON value without what changes."""
    if isinstance(value, dict):
        return {key: steady(value[key]) for key in value if key not in CHANGING}
    return [*map(steady, value)] if isinstance(value, list) else value


def comparable(value):
    """Returns a steady value whose numbers tolerate the rounding of another processor."""
    if isinstance(value, dict):
        return {key: comparable(value[key]) for key in value if key not in CHANGING}
    if isinstance(value, list):
        return [*map(comparable, value)]
    return pytest.approx(value, abs=2e-4) if isinstance(value, float) else value


def test_every_example_is_what_the_server_answers(searching):
    found = {
        identifier: {
            **({"body": BODIES[identifier]} if operation.method == "POST" else {}),
            "answer": rounded(answer(searching.url, identifier)),
        }
        for identifier, operation in OPERATIONS.items()
        if operation.answers
    }
    if os.environ.get("REJOINDER_WRITE_EXAMPLES"):
        lines = (f"{json.dumps(name)}: {json.dumps(example)}" for name, example in found.items())
        EXAMPLES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert steady(found) == comparable(examples.read_examples())


def test_the_description_shows_the_examples_with_a_served_model():
    description = describe(Limits(), guarded=False)
    examples.add_examples(description, "reddit")
    predict = description["paths"]["/v1/models/{name}:predict"]["post"]
    assert predict["parameters"][0]["example"] == "reddit"
    assert predict["requestBody"]["content"]["application/json"]["example"] == PREDICT
    embed = description["paths"]["/v1/embeddings"]["post"]
    assert embed["requestBody"]["content"]["application/json"]["example"]["model"] == "reddit"
    assert embed["responses"]["200"]["content"]["application/json"]["example"]["model"] == "reddit"
    assert '"tiny"' not in json.dumps(description)
