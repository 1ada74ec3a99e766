"""OpenAI's embeddings, and this server's own `/tokenize`."""

from typing import Annotated, Literal

from pydantic import Field

from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import (
    BOOLEAN,
    MODEL,
    TEXTS,
    OneOrMoreTexts,
    Text,
    Texts,
    TokenId,
    TokenIds,
    TokenRows,
    Vector,
)


class EmbeddingsRequest(Body):
    """What to embed, and how."""

    model: str | None = Field(None, description=MODEL)
    input: Annotated[Text | Texts | TokenIds | TokenRows, Field(union_mode="left_to_right")] = (
        Field(
            description="a string, a non-empty list of strings, token ids, or a list of token ids"
        )
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="'float' or 'base64'"
    )
    dimensions: int | None = Field(
        None, ge=1, description="a whole number from 1 to the model's dimension"
    )
    # Voyage's extension of OpenAI's request.
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] | None = Field(
        None, description="'float', 'int8', 'uint8', 'binary' or 'ubinary'"
    )
    auto_truncate: bool = Field(True, description=BOOLEAN)
    user: str | None = Field(None, description="a string")


class Embedding(Body):
    """The embedding of one input: numbers, or their float32 bytes in base64."""

    object: Literal["embedding"]
    index: int
    embedding: Vector | str


class Usage(Body):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Body):
    """One embedding for each input, in their order; `warnings` only if there are any."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    warnings: list[str] | None = None


class ModelEntry(Body):
    """OpenAI's description of a model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Body):
    """The served models."""

    object: Literal["list"]
    data: list[ModelEntry]


class TokenizeRequest(Body):
    """Texts to tokenize."""

    model: str | None = Field(None, description=MODEL)
    input: OneOrMoreTexts = Field(description=TEXTS)
    auto_truncate: bool = Field(True, description=BOOLEAN)


class TokenizeAnswer(Body):
    """For each text its token ids, their number, and whether the text was truncated."""

    model: str
    token_ids: list[list[TokenId]]
    num_tokens: list[int]
    truncated: list[bool]
