"""`/search`: the nearest texts of an indexed corpus, for the page and for clients.

`rejoinder search` builds indexes, and the server's command line names them. A request
selects an index by name; its query shares batches with all other requests.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from rejoinder.serving.apis.json_tensors import parse_object
from rejoinder.serving.apis.responses import json_response
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, invalid

if TYPE_CHECKING:  # opening an index needs usearch; a server without an index does not
    from rejoinder.retrieval.index import SearchIndex

MAX_ANSWERS = 100


class SearchApi:
    """Handlers for the named indexes."""

    def __init__(
        self, registry: Registry, predictor: Predictor, indexes: Mapping[str, "SearchIndex"]
    ):
        self._registry = registry
        self._predictor = predictor
        self._indexes = indexes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def names(self, request: Request, body: bytes) -> Response:
        """`GET /indexes`: names and sizes."""
        entries = [{"name": name, "texts": len(index)} for name, index in self._indexes.items()]
        return json_response({"indexes": entries})

    async def search(self, request: Request, body: bytes) -> Response:
        """`POST /search`: `{"index", "input": text, "k"?, "model"?}` → texts, best first."""
        document = parse_object(body)
        name, text, k = document.get("index"), document.get("input"), document.get("k", 10)
        if not isinstance(name, str) or not isinstance(text, str):
            raise invalid("index and input must be strings")
        if type(k) is not int or not 1 <= k <= MAX_ANSWERS:
            raise invalid(f"k must be a whole number from 1 to {MAX_ANSWERS}")
        if name not in self._indexes:
            raise ServingError(Code.NOT_FOUND, f"index {name!r} does not exist")
        model = document.get("model", self._registry.names[0])
        if not isinstance(model, str):
            raise invalid("model must be a string")
        version = self._registry.version(model)
        index = self._indexes[name]
        if version.manifest.dimension != index.description.dimension:
            raise invalid(f"index {name!r} was not built with model {model!r}")
        embeddings, tokens = await self._predictor.embed(version, [text.encode()])
        loop = asyncio.get_running_loop()
        (answers,) = await loop.run_in_executor(self._pool, index.search, embeddings, k)
        return json_response(
            {
                "index": name,
                "model": model,
                "num_tokens": len(tokens.rows[0]),
                "answers": [
                    {"text": answer.text, "score": float(answer.score), "fields": answer.fields}
                    for answer in answers
                ],
            }
        )
