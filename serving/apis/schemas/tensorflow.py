"""TensorFlow Serving's REST API.

Which form of `instances` and `inputs` a signature takes is checked by `json_tensors` against
the signature of the loaded model, in the order and with the messages of TensorFlow Serving.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import BOOLEAN, Text, TokenIds, Vector
from rejoinder.serving.apis.schemas.openai import ModelEntry

Signature = Literal[
    "serving_default",
    "encode_context",
    "encode_response",
    "encode_multi_context",
    "score",
    "tokenize",
    "encode_tokens",
]


class _Row(Body):
    model_config = ConfigDict(extra="forbid")


class TextRow(_Row):
    """The text of a row."""

    text: Text


class TurnsRow(_Row):
    """A context, and its earlier turns as one text, nearest first; "" if there are none."""

    text: Text
    extra_contexts: Text


class PairRow(_Row):
    """A context and a response to score."""

    context: Text
    response: Text


class TokensRow(_Row):
    """The token ids of a row."""

    token_ids: TokenIds


class PredictOptions(Body):
    """What the requests of both formats have in common."""

    signature_name: Signature = "serving_default"
    auto_truncate: bool = Field(True, description=BOOLEAN)


class PredictByRow(PredictOptions):
    """A request of rows: strings, objects or token ids, as the signature takes them."""

    instances: Annotated[
        list[Text | TextRow | TurnsRow | PairRow | TokensRow | TokenIds],
        Field(min_length=1, json_schema_extra={"maxItems": "max_items"}),
    ]


class PredictByColumn(PredictOptions):
    """A request of columns: the values of the only input, or an object of all inputs."""

    inputs: Any


class EncodedRow(Body):
    """The embedding of a text."""

    embedding: Vector
    num_tokens: int
    truncated: bool


class TokenizedRow(Body):
    """The token ids of a text, padded to the longest one's."""

    token_ids: list[int]
    num_tokens: int
    truncated: bool


class Predictions(Body):
    """A row for each instance: a number of `score`, a vector of `encode_tokens`, or an object."""

    predictions: list[EncodedRow | TokenizedRow | Vector | float]


class EncodedColumns(Body):
    """The embeddings of all texts."""

    embedding: list[Vector]
    num_tokens: list[int]
    truncated: list[bool]


class TokenizedColumns(Body):
    """The token ids of all texts."""

    token_ids: list[list[int]]
    num_tokens: list[int]
    truncated: list[bool]


class Outputs(Body):
    """The columns of all outputs, or the values of the only output."""

    outputs: EncodedColumns | TokenizedColumns | list[Vector] | Vector


class VersionError(Body):
    """Why a version is not available."""

    error_code: str
    error_message: str


class VersionStatus(Body):
    """The state of a version."""

    version: str
    state: Literal["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
    status: VersionError


class VersionStatuses(Body):
    """The states of the versions."""

    model_version_status: list[VersionStatus]


class ModelStatus(VersionStatuses, ModelEntry):
    """The states of all versions, and OpenAI's description of the model."""


class ModelSpec(Body):
    """The version that the metadata is about."""

    name: str
    version: str
    signature_name: str


class Metadata(Body):
    """TensorFlow's SignatureDefs in the JSON form of protocol buffers."""

    signature_def: dict[str, Any]


class ModelMetadata(Body):
    """The signatures of a version."""

    model_spec: ModelSpec
    metadata: Metadata
