"""The HTTP application: which path leads to which handler."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rejoinder.serving.apis.openai import OpenAiApi, openai_error
from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.apis.rest import RestApi, rest_error
from rejoinder.serving.apis.search import SearchApi
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.http.gate import Gate
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:  # opening an index needs usearch; a server without one does not
    from rejoinder.retrieval.index import SearchIndex

# The page is a few fixed files, read once: no request names a file.
_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass
class Readiness:
    """Whether load balancers should send requests; false while draining."""

    ready: bool = True


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything that answers requests."""

    registry: Registry
    predictor: Predictor
    metrics: Metrics
    limits: Limits
    keys: Sequence[str] = ()
    readiness: Readiness
    indexes: Mapping[str, "SearchIndex"] = field(default_factory=dict)


def build_app(service: Service) -> Starlette:
    """Returns the ASGI application."""
    gate = Gate(service.limits, service.metrics, service.keys)
    rest = RestApi(service.registry, service.predictor, service.limits)
    openai = OpenAiApi(service.registry, service.predictor)
    search = SearchApi(service.registry, service.predictor, service.indexes)
    description = orjson.dumps(describe(service.limits, guarded=bool(service.keys)))

    async def health(request: Request, body: bytes) -> Response:
        return _json({"status": "ok"})

    async def ready(request: Request, body: bytes) -> Response:
        if not service.readiness.ready:
            raise ServingError(Code.UNAVAILABLE, "the server is shutting down")
        return _json({"status": "ready", "models": service.registry.names})

    async def metrics(request: Request, body: bytes) -> Response:
        return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(request: Request, body: bytes) -> Response:
        return Response(description, media_type="application/json")

    def route(path: str, name: str, handler: Any, method: str, **options: Any) -> Route:
        options.setdefault("format_error", rest_error)
        return Route(path, gate.endpoint(name, handler, **options), methods=[method])

    routes = [
        route("/v1/embeddings", "embeddings", openai.embeddings, "POST", format_error=openai_error),
        route("/v1/models", "models", openai.models, "GET", format_error=openai_error),
        route("/tokenize", "tokenize", openai.tokenize, "POST"),
        route("/search", "search", search.search, "POST"),
        route("/indexes", "indexes", search.names, "GET"),
        route("/health", "health", health, "GET", guarded=False),
        route("/ready", "ready", ready, "GET", guarded=False),
        route("/metrics", "metrics", metrics, "GET"),
        route("/openapi.json", "openapi", openapi, "GET", guarded=False),
        *(
            route(path, "page", _page(file, kind), "GET", guarded=False)
            for path, (file, kind) in _PAGE.items()
        ),
        # Last: TensorFlow Serving parses the path itself, any method.
        Route(
            "/v1/{rest:path}",
            gate.endpoint("rest", rest.handle, format_error=rest_error),
            methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        ),
    ]

    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_exception},  # type: ignore[dict-item]
    )


def _page(file: str, kind: str) -> Any:
    content = files("serving").joinpath("page", file).read_bytes()

    async def handler(request: Request, body: bytes) -> Response:
        return Response(content, headers={"Content-Type": kind, **_PAGE_HEADERS})

    return handler


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Answers unknown paths and wrong methods in the same form as every other error."""
    return Response(
        rest_error(ServingError(Code.NOT_FOUND, error.detail)),
        status_code=error.status_code,
        headers=error.headers,
        media_type="application/json",
    )


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
