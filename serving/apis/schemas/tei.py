"""Text Embeddings Inference, version 1.9, and huggingface_hub's client of it."""

from typing import Literal

from pydantic import Field

from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import BOOLEAN, TEXTS, OneOrMoreTexts, Text, Texts


class TeiEmbedRequest(Body):
    """Texts to embed."""

    inputs: OneOrMoreTexts = Field(description=TEXTS)
    truncate: bool | None = Field(None, description=BOOLEAN)
    normalize: Literal[True] | None = Field(
        None, description="true: the model's embeddings are unit vectors"
    )
    dimensions: int | None = Field(
        None, ge=1, description="a whole number from 1 to the model's dimension"
    )


class Sentences(Body):
    """One sentence and those to compare it with."""

    source_sentence: Text = Field(description="a string")
    sentences: Texts = Field(description="a non-empty list of strings")


class SimilarityParameters(Body):
    """Options of `/similarity`."""

    truncate: bool | None = Field(None, description=BOOLEAN)


class SimilarityRequest(Body):
    """Sentences to compare."""

    inputs: Sentences = Field(description='{"source_sentence": text, "sentences": [texts]}')
    parameters: SimilarityParameters | None = Field(None, description="an object")


class TeiTokenizeRequest(Body):
    """Texts to tokenize, with the text and the place of each token in the answer."""

    inputs: OneOrMoreTexts = Field(description=TEXTS)
    add_special_tokens: bool = Field(True, description=BOOLEAN)
    prompt_name: None = Field(None, description="left out: the server has no prompts")


class TeiToken(Body):
    """A token; `start` and `stop` count code points of the text, null for special tokens."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class EmbeddingType(Body):
    """How an embedding is made from its tokens."""

    pooling: Literal["mean"]


class TeiModelType(Body):
    """The kind of model."""

    embedding: EmbeddingType


class InfoAnswer(Body):
    """The model and the limits of this server."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: TeiModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str | None
