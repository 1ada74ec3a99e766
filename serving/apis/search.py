"""`/search`: the nearest texts of an indexed corpus, for the page and for clients.

`rejoinder search` builds indexes, and the server's command line names them. A request
selects an index by name; its query shares batches with all other requests.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.responses import Response

from rejoinder.serving.apis.openai import TOO_LONG
from rejoinder.serving.apis.responses import json_response, report
from rejoinder.serving.apis.schemas.search import SearchRequest
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, invalid

if TYPE_CHECKING:  # opening an index needs usearch; a server without an index does not
    from rejoinder.retrieval.index import SearchIndex


class SearchApi:
    """Handlers for the named indexes."""

    def __init__(
        self, registry: Registry, predictor: Predictor, indexes: Mapping[str, "SearchIndex"]
    ):
        self._registry = registry
        self._predictor = predictor
        self._indexes = indexes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def names(self) -> Response:
        """`GET /indexes`: names and sizes."""
        entries = [{"name": name, "texts": len(index)} for name, index in self._indexes.items()]
        return json_response({"indexes": entries})

    async def search(self, body: SearchRequest) -> Response:
        """`POST /search`: the nearest texts, best first."""
        name = body.index
        if name not in self._indexes:
            raise ServingError(Code.NOT_FOUND, f"index {name!r} does not exist")
        model = body.model or self._registry.names[0]
        version = self._registry.version(model)
        index = self._indexes[name]
        if version.manifest.dimension != index.description.dimension:
            raise invalid(f"index {name!r} was not built with model {model!r}")
        too_long = None if body.auto_truncate else TOO_LONG
        embeddings, tokens = await self._predictor.embed(
            version, [body.input.encode()], too_long=too_long
        )
        loop = asyncio.get_running_loop()
        (answers,) = await loop.run_in_executor(self._pool, index.search, embeddings, body.k)
        document = {
            "index": name,
            "model": model,
            "num_tokens": len(tokens.rows[0]),
            "truncated": bool(tokens.truncated[0]),
            "answers": [
                {"text": answer.text, "score": float(answer.score), "fields": answer.fields}
                for answer in answers
            ],
        }
        return report(json_response(document), tokens.truncated)
