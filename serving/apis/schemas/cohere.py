"""Cohere's `/v2/embed`."""

from typing import Literal

from pydantic import ConfigDict, Field

from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import Text, Texts, Vector

EmbeddingName = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]


class TextContent(Body):
    """A part of an input; images are not offered."""

    type: Literal["text"]
    text: Text


class EmbedInput(Body):
    """An input of one or more texts, which are joined by a line break."""

    content: list[TextContent] = Field(min_length=1)


class CohereRequest(Body):
    """What to embed, and how; `texts` or `inputs` is needed."""

    model: str = Field(description="a string, the name of a served model")
    texts: Texts | None = Field(None, description="a non-empty list of strings")
    inputs: list[EmbedInput] | None = Field(
        None,
        min_length=1,
        description='a non-empty list of {"content": [{"type": "text", "text": "…"}]}',
        json_schema_extra={"maxItems": "max_items"},
    )
    images: None = Field(None, description="left out: the models embed texts only")
    input_type: (
        Literal["search_document", "search_query", "classification", "clustering"] | None
    ) = Field(
        None, description="'search_document', 'search_query', 'classification' or 'clustering'"
    )
    embedding_types: list[EmbeddingName] | None = Field(
        None,
        max_length=20,
        description="a list of 'float', 'int8', 'uint8', 'binary', 'ubinary' and 'base64'",
    )
    output_dimension: int | None = Field(
        None, ge=1, description="a whole number from 1 to the model's dimension"
    )
    max_tokens: int | None = Field(None, description="a whole number")
    priority: int | None = Field(None, description="a whole number")
    truncate: Literal["END", "NONE"] | None = Field(None, description="'END' or 'NONE'")


class Embeddings(Body):
    """The embeddings in each type asked for; a number of `binary` and `ubinary` is 8 bits."""

    model_config = ConfigDict(populate_by_name=True)

    float_: list[Vector] | None = Field(None, alias="float")
    int8: list[list[int]] | None = None
    uint8: list[list[int]] | None = None
    binary: list[list[int]] | None = None
    ubinary: list[list[int]] | None = None
    base64: list[str] | None = None


class ApiVersion(Body):
    """The version of Cohere's API."""

    version: Literal["2"]


class BilledUnits(Body):
    """Tokens of the request."""

    input_tokens: int


class Meta(Body):
    """Tokens of the request and, if there are any, warnings."""

    api_version: ApiVersion
    billed_units: BilledUnits
    warnings: list[str] | None = None


class CohereAnswer(Body):
    """One embedding of each type for each text, in their order."""

    id: str
    response_type: Literal["embeddings_by_type"]
    embeddings: Embeddings
    texts: list[str]
    meta: Meta
