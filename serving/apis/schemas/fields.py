"""Types of fields that several APIs share.

Bounds that are limits of a server are named here, for the description; the engine checks
them for all interfaces, gRPC included.
"""

from typing import Annotated

from pydantic import Field

# One text; `describe` replaces the name of the limit by its value.
Text = Annotated[str, Field(json_schema_extra={"maxLength": "max_characters"})]
_ROWS = {"maxItems": "max_items"}
Texts = Annotated[list[Text], Field(min_length=1, fail_fast=True, json_schema_extra=_ROWS)]
OneOrMoreTexts = Annotated[Text | Texts, Field(union_mode="left_to_right")]

TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
TokenRows = Annotated[list[TokenIds], Field(min_length=1, fail_fast=True, json_schema_extra=_ROWS)]

Vector = list[float]

TEXTS = "a string or a non-empty list of strings"
MODEL = "a string, the name of a served model"
BOOLEAN = "true or false"


def texts_of(value: str | list[str]) -> list[bytes]:
    """Returns the texts of a field in UTF-8."""
    return [value.encode()] if isinstance(value, str) else [text.encode() for text in value]
