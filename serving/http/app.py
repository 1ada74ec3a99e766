"""The ASGI application: its routes and handlers."""

from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rejoinder.serving.apis.openai import OpenAiApi, openai_error
from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.apis.responses import encoded_json_response, json_response
from rejoinder.serving.apis.rest import RestApi, rest_error
from rejoinder.serving.apis.search import SearchApi
from rejoinder.serving.apis.tei import TeiApi, tei_error
from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.http.connections import Connections
from rejoinder.serving.http.gate import Gate
from rejoinder.serving.http.page import page_responses
from rejoinder.serving.metrics import CONTENT_TYPE
from rejoinder.serving.service import Service

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_app(service: Service) -> ASGIApp:
    """Returns the ASGI application."""
    gate = Gate(service.limits, service.metrics, service.keys)
    rest = RestApi(service.registry, service.predictor, service.limits)
    openai = OpenAiApi(service.registry, service.predictor)
    tei = TeiApi(service.registry, service.predictor, service.limits)
    search = SearchApi(service.registry, service.predictor, service.indexes)
    description = orjson.dumps(describe(service.limits, guarded=bool(service.keys)))

    async def health(request: Request, body: bytes) -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request, body: bytes) -> Response:
        if not service.readiness.ready:
            raise ServingError(Code.UNAVAILABLE, "the server is shutting down")
        return json_response({"status": "ready", "models": service.registry.names})

    async def metrics(request: Request, body: bytes) -> Response:
        return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(request: Request, body: bytes) -> Response:
        return encoded_json_response(description)

    def route(path: str, name: str, handler: Any, method: str, **options: Any) -> Route:
        options.setdefault("format_error", rest_error)
        return Route(path, gate.endpoint(name, handler, **options), methods=[method])

    rest_endpoint = gate.endpoint("rest", rest.handle, format_error=rest_error)
    unknown_endpoint = gate.endpoint("unknown", openai.unknown, format_error=openai_error)

    async def other(request: Request) -> Response:
        """TensorFlow Serving parses the paths of models itself, and ignores their case."""
        of_models = request.url.path.lower().startswith("/v1/models")
        return await (rest_endpoint if of_models else unknown_endpoint)(request)

    def page_route(path: str, response: Response) -> Route:
        async def handler(request: Request, body: bytes) -> Response:
            return response

        return route(path, "page", handler, "GET", guarded=False)

    routes = [
        route("/v1/embeddings", "embeddings", openai.embeddings, "POST", format_error=openai_error),
        route("/v1/models", "models", openai.models, "GET", format_error=openai_error),
        route("/tokenize", "tokenize", openai.tokenize, "POST"),
        route("/embed", "tei", tei.embed, "POST", format_error=tei_error),
        route("/", "tei", tei.embed, "POST", format_error=tei_error),
        route("/similarity", "tei", tei.similarity, "POST", format_error=tei_error),
        route("/info", "tei", tei.info, "GET", format_error=tei_error),
        route("/search", "search", search.search, "POST"),
        route("/indexes", "indexes", search.names, "GET"),
        route("/health", "health", health, "GET", guarded=False),
        route("/ready", "ready", ready, "GET", guarded=False),
        route("/metrics", "metrics", metrics, "GET"),
        # TensorFlow Serving's path.
        route("/monitoring/prometheus/metrics", "metrics", metrics, "GET"),
        route("/openapi.json", "openapi", openapi, "GET", guarded=False),
        *(page_route(path, response) for path, response in page_responses().items()),
        # Last, because it takes every other path and method.
        Route("/v1/{rest:path}", other, methods=_METHODS),
    ]
    middleware = []
    if service.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=service.origins,
                allow_methods=["GET", "POST"],
                # OpenAI's library sends a dozen of its own, such as X-Stainless-Lang.
                allow_headers=["*"],
                expose_headers=["Retry-After", "X-Truncated"],
            )
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _http_exception},  # type: ignore[dict-item]
    )
    return Connections(app, service.hosts, service.limits.keep_alive_seconds)


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Formats errors for unknown paths and wrong methods like every other error."""
    return encoded_json_response(
        rest_error(ServingError(Code.NOT_FOUND, error.detail)),
        status=error.status_code,
        headers=error.headers,
    )
