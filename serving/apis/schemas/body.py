"""The base of all models, and the check of a request's body."""

import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rejoinder.serving.apis.json_tensors import parse_object
from rejoinder.serving.errors import ServingError, invalid


class Body(BaseModel):
    """A JSON object. Numbers, strings and booleans are not converted to each other."""

    model_config = ConfigDict(strict=True, protected_namespaces=())


AnyBody = TypeVar("AnyBody", bound=Body)


def read_body(model: type[AnyBody], body: bytes) -> AnyBody:
    """Parses and checks the body of a request.

    Raises:
        ServingError: It is not JSON, or a field is wrong; the message names the field.
    """
    return check(model, parse_object(body))


def check(model: type[AnyBody], document: dict[str, Any]) -> AnyBody:
    """Checks a parsed body.

    Raises:
        ServingError: A field is wrong; the message names the field.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _refusal(model, first["loc"], missing=first["type"] == "missing") from None


def _refusal(model: type[BaseModel], place: tuple[Any, ...], *, missing: bool) -> ServingError:
    """Returns the error for the innermost field at `place`; if it is missing, for its parent."""
    names: list[str] = []
    must = "an object"
    inner: Any = model
    for index, name in enumerate(place):
        fields = inner.model_fields if inner is not None else {}
        if name not in fields or (missing and names and index == len(place) - 1):
            break
        names.append(str(name))
        must = fields[name].description or must
        inner = _model_of(fields[name].annotation)
    return invalid(f"{'.'.join(names)} must be {must}")


def _model_of(annotation: Any) -> Any:
    """Returns the model in an annotation such as `Inner | None`."""
    for kind in (annotation, *typing.get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
