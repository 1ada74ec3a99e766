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

from rejoinder.serving.apis.cohere import CohereApi
from rejoinder.serving.apis.error_forms import OPENAI, TEI, TENSORFLOW
from rejoinder.serving.apis.examples import add_examples
from rejoinder.serving.apis.json_tensors import parse_object
from rejoinder.serving.apis.openai import OpenAiApi
from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.apis.operations import OPERATIONS, Operation
from rejoinder.serving.apis.responses import encoded_json_response, json_response
from rejoinder.serving.apis.rest import RestApi
from rejoinder.serving.apis.schemas.body import check, read_body
from rejoinder.serving.apis.schemas.openai import TokenizeRequest
from rejoinder.serving.apis.schemas.tei import TeiTokenizeRequest
from rejoinder.serving.apis.search import SearchApi
from rejoinder.serving.apis.tei import TeiApi
from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.http.connections import Connections
from rejoinder.serving.http.gate import Gate, Handler
from rejoinder.serving.http.page import page_responses
from rejoinder.serving.metrics import CONTENT_TYPE
from rejoinder.serving.service import Service

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_app(service: Service) -> ASGIApp:
    """Returns the ASGI application."""
    gate = Gate(service.limits, service.metrics, service.keys, service.inflight, service.tracing)
    rest = RestApi(service.registry, service.predictor, service.limits)
    openai = OpenAiApi(service.registry, service.predictor)
    cohere = CohereApi(openai, service.predictor)
    tei = TeiApi(service.registry, service.predictor, service.limits)
    search = SearchApi(service.registry, service.predictor, service.indexes)
    document = describe(service.limits, guarded=bool(service.keys))
    add_examples(document, service.registry.names[0])
    description = orjson.dumps(document)

    async def health() -> Response:
        return json_response({"status": "ok"})

    async def ready() -> Response:
        if not service.readiness.ready:
            raise ServingError(Code.UNAVAILABLE, "the server is shutting down")
        return json_response({"status": "ready", "models": service.registry.names})

    async def metrics() -> Response:
        return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(request: Request, body: bytes) -> Response:
        return encoded_json_response(description)

    async def tokenize(request: Request, body: bytes) -> Response:
        """A body with `inputs` is Text Embeddings Inference's, and so are its errors."""
        document = parse_object(body)
        if "inputs" in document:
            request.state.error_form = TEI
            return await tei.tokenize(check(TeiTokenizeRequest, document))
        return await openai.tokenize(check(TokenizeRequest, document))

    def route(identifier: str, name: str, handler: Any) -> Route:
        """Routes an operation; `name` labels it in metrics and in the access log."""
        operation = OPERATIONS[identifier]
        endpoint = gate.endpoint(
            name,
            _reading(operation, handler),
            form=operation.form,
            guarded=operation.guarded,
        )
        return Route(operation.path, endpoint, methods=[operation.method])

    rest_endpoint = gate.endpoint("rest", rest.handle, form=TENSORFLOW)
    unknown_endpoint = gate.endpoint("unknown", openai.unknown, form=OPENAI)

    async def other(request: Request) -> Response:
        """TensorFlow Serving parses the paths of models itself, and ignores their case."""
        of_models = request.url.path.lower().startswith("/v1/models")
        return await (rest_endpoint if of_models else unknown_endpoint)(request)

    def file_route(path: str, name: str, handler: Any) -> Route:
        endpoint = gate.endpoint(name, handler, form=TENSORFLOW, guarded=False)
        return Route(path, endpoint, methods=["GET"])

    def page_route(path: str, response: Response) -> Route:
        async def handler(request: Request, body: bytes) -> Response:
            return response

        return file_route(path, "page", handler)

    routes = [
        route("embeddings", "embeddings", openai.embeddings),
        route("models", "models", openai.models),
        route("cohere_embed", "cohere", cohere.embed),
        route("tei_embed", "tei", tei.embed),
        route("tei_embed_at_root", "tei", tei.embed),
        route("similarity", "tei", tei.similarity),
        route("info", "tei", tei.info),
        Route("/tokenize", gate.endpoint("tokenize", tokenize, form=TENSORFLOW), methods=["POST"]),
        route("search", "search", search.search),
        route("indexes", "indexes", search.names),
        route("health", "health", health),
        route("ready", "ready", ready),
        route("metrics", "metrics", metrics),
        route("metrics_at_tensorflow_serving_s_path", "metrics", metrics),
        file_route("/openapi.json", "openapi", openapi),
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
                expose_headers=["Retry-After", "X-Truncated", "X-Warning"],
            )
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _http_exception},  # type: ignore[dict-item]
    )
    return Connections(app, service.hosts, service.limits.keep_alive_seconds)


def _reading(operation: Operation, handler: Any) -> Handler:
    """Returns a handler that checks the body and passes it on as the operation's model."""

    async def read_and_handle(request: Request, body: bytes) -> Response:
        arguments = [read_body(model, body) for model in operation.requests]
        response: Response = await handler(*arguments)
        return response

    return read_and_handle


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Formats errors for unknown paths and wrong methods like every other error."""
    return encoded_json_response(
        TENSORFLOW.format(ServingError(Code.NOT_FOUND, error.detail)),
        status=error.status_code,
        headers=error.headers,
    )
