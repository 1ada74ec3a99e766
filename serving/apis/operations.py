"""The operations of the HTTP interface: `/openapi.json` describes them, and the app routes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.serving.apis.error_forms import COHERE, OPENAI, TEI, TENSORFLOW, ErrorForm
from rejoinder.serving.apis.schemas import cohere, health, openai, search, tei, tensorflow
from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import Vector

_TF = "TensorFlow Serving"
_OPENAI = "OpenAI"
_TEI = "Text Embeddings Inference"
_COHERE = "Cohere"
_OWN = "Rejoinder"
_STATE = "Operation"
TAGS = {
    _TF: "The paths, formats and errors of TensorFlow Serving's REST API.",
    _OPENAI: "What OpenAI's clients call.",
    _TEI: "What clients of Hugging Face's Text Embeddings Inference call, for the first model.",
    _COHERE: "What Cohere's clients call.",
    _OWN: "Tokens and search.",
    _STATE: "For probes and monitoring.",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        id: The operationId.
        method: `GET` or `POST`.
        path: With parameters in braces.
        tag: A key of `TAGS`.
        summary: What it does, in a few words.
        requests: Models of the body; a body fits one of them.
        answers: Types of the answer; empty if it is text.
        form: Form of its errors.
        guarded: Whether it needs a key.
        errors: What statuses mean, besides those that every such operation has.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    requests: tuple[type[Body], ...] = ()
    answers: tuple[Any, ...] = ()
    form: ErrorForm = TENSORFLOW
    guarded: bool = True
    errors: Mapping[int, str] = field(default_factory=dict)


_NO_MODEL = {404: "No such model"}
_NO_VERSION = {400: "Malformed request or unknown label", 404: "No such model or version"}
_TOO_LONG = {413: "The body is too large, or a text is too long and truncate is not true"}
# Suffix of the operationId → the part of the path that chooses a version.
_VERSIONS = {
    "": "",
    "_of_version": "/versions/{version}",
    "_of_label": "/labels/{label}",
}


def _of_models(suffix: str, choice: str) -> tuple[Operation, ...]:
    """Returns TensorFlow Serving's operations on a model or one of its versions."""
    path = f"/v1/models/{{name}}{choice}"
    of = {"": "a model", "_of_version": "a version", "_of_label": "a label's version"}[suffix]
    return (
        Operation(
            id=f"predict{suffix}",
            method="POST",
            path=f"{path}:predict",
            tag=_TF,
            summary=f"Run a signature of {of}",
            requests=(tensorflow.PredictByRow, tensorflow.PredictByColumn),
            answers=(tensorflow.Predictions, tensorflow.Outputs),
            errors=_NO_VERSION,
        ),
        Operation(
            id=f"status{suffix}",
            method="GET",
            path=path,
            tag=_TF,
            summary=f"State of {of}",
            answers=(tensorflow.VersionStatuses if choice else tensorflow.ModelStatus,),
            errors=_NO_VERSION,
        ),
        Operation(
            id=f"metadata{suffix}",
            method="GET",
            path=f"{path}/metadata",
            tag=_TF,
            summary=f"Signatures of {of}",
            answers=(tensorflow.ModelMetadata,),
            errors=_NO_VERSION,
        ),
    )


_ALL = (
    *(operation for item in _VERSIONS.items() for operation in _of_models(*item)),
    Operation(
        id="embeddings",
        method="POST",
        path="/v1/embeddings",
        tag=_OPENAI,
        summary="Embed texts",
        requests=(openai.EmbeddingsRequest,),
        answers=(openai.EmbeddingsAnswer,),
        form=OPENAI,
        errors=_NO_MODEL,
    ),
    Operation(
        id="models",
        method="GET",
        path="/v1/models",
        tag=_OPENAI,
        summary="Names of the served models",
        answers=(openai.ModelList,),
        form=OPENAI,
    ),
    Operation(
        id="cohere_embed",
        method="POST",
        path="/v2/embed",
        tag=_COHERE,
        summary="Embed texts as numbers, bytes or bits",
        requests=(cohere.CohereRequest,),
        answers=(cohere.CohereAnswer,),
        form=COHERE,
        errors=_NO_MODEL,
    ),
    Operation(
        id="tei_embed",
        method="POST",
        path="/embed",
        tag=_TEI,
        summary="Embed texts",
        requests=(tei.TeiEmbedRequest,),
        answers=(list[Vector],),
        form=TEI,
        errors=_TOO_LONG,
    ),
    Operation(
        id="tei_embed_at_root",
        method="POST",
        path="/",
        tag=_TEI,
        summary="Embed texts, as huggingface_hub's client does",
        requests=(tei.TeiEmbedRequest,),
        answers=(list[Vector],),
        form=TEI,
        errors=_TOO_LONG,
    ),
    Operation(
        id="similarity",
        method="POST",
        path="/similarity",
        tag=_TEI,
        summary="Cosine of one sentence with others",
        requests=(tei.SimilarityRequest,),
        answers=(Vector,),
        form=TEI,
        errors=_TOO_LONG,
    ),
    Operation(
        id="info",
        method="GET",
        path="/info",
        tag=_TEI,
        summary="The model and the limits",
        answers=(tei.InfoAnswer,),
        form=TEI,
    ),
    Operation(
        id="tokenize",
        method="POST",
        path="/tokenize",
        tag=_OWN,
        summary="Tokenize texts; a body with `inputs` is Text Embeddings Inference's",
        requests=(openai.TokenizeRequest, tei.TeiTokenizeRequest),
        answers=(openai.TokenizeAnswer, list[list[tei.TeiToken]]),
        errors=_NO_MODEL,
    ),
    Operation(
        id="search",
        method="POST",
        path="/search",
        tag=_OWN,
        summary="Find the nearest texts of an index",
        requests=(search.SearchRequest,),
        answers=(search.SearchAnswer,),
        errors={404: "No such index or model"},
    ),
    Operation(
        id="indexes",
        method="GET",
        path="/indexes",
        tag=_OWN,
        summary="Indexes that /search can use",
        answers=(search.Indexes,),
    ),
    Operation(
        id="health",
        method="GET",
        path="/health",
        tag=_STATE,
        summary="Whether the process responds",
        answers=(health.Health,),
        guarded=False,
    ),
    Operation(
        id="ready",
        method="GET",
        path="/ready",
        tag=_STATE,
        summary="Whether the server accepts requests",
        answers=(health.Ready,),
        guarded=False,
        errors={503: "The server is shutting down"},
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        tag=_STATE,
        summary="Prometheus metrics",
    ),
    Operation(
        id="metrics_at_tensorflow_serving_s_path",
        method="GET",
        path="/monitoring/prometheus/metrics",
        tag=_STATE,
        summary="Prometheus metrics",
    ),
)
OPERATIONS: Mapping[str, Operation] = {operation.id: operation for operation in _ALL}
