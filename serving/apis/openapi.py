"""The OpenAPI description of the HTTP interface, served at `/openapi.json`.

It is made from `OPERATIONS` and their pydantic models, in version 3.0.3, which generators of
clients read (oapi-codegen refuses the `null` types of 3.1).
"""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from rejoinder.serving.apis.error_forms import TENSORFLOW
from rejoinder.serving.apis.operations import OPERATIONS, TAGS, Operation
from rejoinder.serving.limits import Limits
from rejoinder.versions import installed_version

_REF = "#/components/schemas/{model}"
_TRUNCATED = {
    "description": "Indices of the texts that were truncated, separated by commas",
    "schema": {"type": "string"},
}
_WARNING = {
    "description": "What the client should know about the answer",
    "schema": {"type": "string"},
}
_RETRY = {
    "description": "Seconds after which the request would be accepted",
    "schema": {"type": "integer"},
}
_PARAMETERS = {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"},
    "version": {"type": "integer", "format": "int64", "minimum": 1},
    "label": {"type": "string", "pattern": "^[^:/=]+$"},
}
_EVERY = {
    403: "The Host is not a name of this server",
    431: "The head of the request is too large",
    500: "The server failed; its log says why",
}
_WITH_BODY = {
    400: "The request is invalid",
    408: "The body took too long",
    413: "The body is too large",
    415: "The body has another Content-Encoding than gzip",
    429: "The server is overloaded",
    504: "The request took too long",
}


def describe(limits: Limits, *, guarded: bool) -> dict[str, Any]:
    """Returns the OpenAPI document.

    Args:
        limits: Bounds for the schemas.
        guarded: Whether requests need a bearer key.
    """
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        methods = paths.setdefault(operation.path, {})
        methods[operation.method.lower()] = _operation(operation, schemas)
    description = {
        "openapi": "3.0.3",
        "info": {
            "title": "Rejoinder",
            "version": installed_version("rejoinder") or "0",  # "0" in a checkout
            "description": "Sentence embeddings, with the APIs of TensorFlow Serving, OpenAI, "
            "Text Embeddings Inference and Cohere for the same models.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0.html",
            },
        },
        "servers": [{"url": "/", "description": "The server that sent this description"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        # Without keys any Authorization is accepted and none is needed.
        "security": [{"bearer": []}] if guarded else [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.components.items())),
        },
    }
    bounded: dict[str, Any] = _with_limits(description, limits)
    return bounded


class _OpenApi30(GenerateJsonSchema):
    """JSON Schema in the dialect of OpenAPI 3.0."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "$ref" in inner:
            return {"type": "object", "nullable": True, "allOf": [inner]}
        return {"nullable": True, **inner}

    def none_schema(self, schema: core_schema.NoneSchema) -> JsonSchemaValue:
        return {"enum": [None], "nullable": True, "type": "string"}

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        found = super().literal_schema(schema)
        if "const" in found:
            found["enum"] = [found.pop("const")]
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Schemas:
    """Collects the schemas of types.

    Attributes:
        components: Name → schema of every model found so far.
    """

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, types: tuple[Any, ...], name: str = "") -> dict[str, Any]:
        """Returns the schema of a value of one of the types; of several, it is called `name`.

        Generators of Go clients cannot write a choice that has no name of its own.
        """
        found = [self._of_type(kind) for kind in types]
        if len(found) == 1:
            return found[0]
        self.components[name] = {"anyOf": found}
        return {"$ref": _REF.format(model=name)}

    def _of_type(self, kind: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(ref_template=_REF, schema_generator=_OpenApi30)
        self.components |= schema.pop("$defs", {})
        if isinstance(kind, type) and hasattr(kind, "model_fields"):
            self.components[kind.__name__] = schema
            return {"$ref": _REF.format(model=kind.__name__)}
        return schema


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    is_post = operation.method == "POST"
    kind = operation.id.partition("_of_")[0].title()
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
    }
    names = [part.partition("}")[0] for part in operation.path.split("{")[1:]]
    if names:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
            for name in names
        ]
    if operation.requests:
        content = {"application/json": {"schema": schemas.of(operation.requests, f"{kind}Body")}}
        described["requestBody"] = {"required": True, "content": content}
    success: dict[str, Any] = {"description": "Success"}
    if operation.answers:
        success["content"] = {
            "application/json": {"schema": schemas.of(operation.answers, f"{kind}Result")}
        }
    else:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if is_post:
        success["headers"] = {"X-Truncated": _TRUNCATED, "X-Warning": _WARNING}
    errors = {**_EVERY, **(_WITH_BODY if is_post else {})}
    if operation.guarded:
        errors[401] = "A bearer key is needed"
    else:
        described["security"] = []
    errors |= operation.errors
    described["responses"] = {
        "200": success,
        **{str(code): _error(operation, code, errors[code], schemas) for code in sorted(errors)},
    }
    return described


def _error(operation: Operation, code: int, text: str, schemas: _Schemas) -> dict[str, Any]:
    if code == 431:  # answered without the application
        return {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}
    # The Host is checked before the path.
    form = TENSORFLOW if code == 403 else operation.form
    described: dict[str, Any] = {
        "description": text,
        "content": {"application/json": {"schema": schemas.of((form.model,))}},
    }
    if code == 429:
        described["headers"] = {"Retry-After": _RETRY}
    return described


def _with_limits(value: Any, limits: Limits) -> Any:
    """Returns a document in which the bounds named after a limit are its value.

    References have no siblings, which OpenAPI 3.0 ignores.
    """
    if isinstance(value, list):
        return [_with_limits(item, limits) for item in value]
    if not isinstance(value, dict):
        return value
    value = {
        key: getattr(limits, item)
        if key in ("maxLength", "maxItems") and isinstance(item, str)
        else _with_limits(item, limits)
        for key, item in value.items()
    }
    if "$ref" in value and len(value) > 1:
        return {"allOf": [{"$ref": value.pop("$ref")}], **value}
    return value
