"""The metadata of a model card: what the hub reads above the text.

License, languages and data sets come from the options of `rejoinder export`, or else from
the card of the model that was trained or converted. What neither says is left out.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.model_dir import EVALUATION_FIGURES, PARAMETERS, evaluation_folder

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

_HUB_NAME = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_TAGS = ["sentence-transformers", "feature-extraction", "sentence-similarity", "mpnet"]
# The order of the keys on the hub's own pages.
_ORDER = ["library_name", "pipeline_tag", "license", "language", "base_model", "datasets", "tags"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardDetails:
    """What a model card says beyond the model's sizes.

    Attributes:
        name: The model's name.
        source: Path or hub name of the model that was exported; None if unknown.
        is_trained_here: Whether `source` is the folder of a training run.
        checkpoint: Checkpoint of that run; None for the latest.
        snippet_path: Path or hub name in the examples; None for the folder of the card.
        saved_model: Path of the SavedModel made with it; None if there is none.
        license: SPDX identifier, or None for that of the source's card.
        base_model: Hub name of the model it was trained or converted from, or None for
            the source's.
        languages: ISO 639 codes; empty for those of the source's card.
        datasets: Names of data sets on the hub; empty for those of the source's card, if
            the source was not trained here.
    """

    name: str
    source: str | None = None
    is_trained_here: bool = False
    checkpoint: str | None = None
    snippet_path: str | None = None
    saved_model: str | None = None
    license: str | None = None
    base_model: str | None = None
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    @property
    def model_dir(self) -> str | None:
        """Folder of the training run, or None if the model was not trained here."""
        return self.source if self.is_trained_here else None


def card_data(details: CardDetails) -> "ModelCardData":
    """Returns the metadata of a model card."""
    from huggingface_hub import ModelCardData

    origin = _origin(details)
    given = _card_of(origin)
    base_model = details.base_model
    if base_model is None and origin is not None and is_hub_name(origin):
        base_model = origin
    datasets = list(details.datasets) or ([] if details.is_trained_here else given.get("datasets"))
    values: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "license": details.license or given.get("license"),
        "language": list(details.languages) or given.get("language"),
        "base_model": base_model,
        "datasets": datasets or None,
        "tags": _TAGS,
    }
    results = _results(details)
    if results:
        values |= {"model_name": details.name, "eval_results": results}
    return ModelCardData(**values)


def render_metadata(data: "ModelCardData") -> str:
    """Returns metadata as YAML, without the lines around it."""
    return data.to_yaml(original_order=_ORDER).strip()


def _origin(details: CardDetails) -> str | None:
    """Returns the model that was converted, or from which training started."""
    if details.model_dir is None:
        return details.source
    path = storage.join(details.model_dir, PARAMETERS)
    if not storage.exists(path):
        return None
    try:
        return yaml.safe_load(storage.read_bytes(path))["task"]["model"]["init_from"] or None
    except (yaml.YAMLError, TypeError, KeyError):
        raise UserError(f"{path}: is not the configuration of a training run") from None


def is_hub_name(name: str) -> bool:
    """Returns whether a model's path can only be a name on the hub, `owner/name`."""
    return bool(_HUB_NAME.fullmatch(name)) and not Path(name).exists()


def _card_of(origin: str | None) -> dict[str, Any]:
    """Returns the metadata of the card in a local model folder; empty without one."""
    from huggingface_hub import ModelCard

    if origin is None or not storage.is_local(origin):
        return {}
    path = Path(origin).expanduser() / "README.md"
    if not path.is_file():
        return {}
    try:
        return ModelCard.load(path, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, yaml.YAMLError, OSError):
        return {}  # a README that is not a model card says nothing about the license


def _results(details: CardDetails) -> list["EvalResult"]:
    """Returns the figures of the run's evaluation for the first model of its report."""
    if details.model_dir is None:
        return []
    folder = evaluation_folder(details.model_dir, details.checkpoint)
    path = storage.join(folder, EVALUATION_FIGURES)
    if not storage.exists(path):
        return []
    figures = json.loads(storage.read_bytes(path))
    first = next(iter(figures["models"]), None)
    results = []
    for one in figures["ranking"]:
        if one["name"] == first and one["accuracy"] is not None:
            name = f"1-of-{figures['data']['candidates']} accuracy"
            results.append(_result("Response selection", "comments", "accuracy", name, one))
    for one in figures["similarity"]:
        if one["model"] == first:
            name = "Spearman correlation of cosine"
            results.append(
                _result("Semantic similarity", one["name"], "spearman_cosine", name, one)
            )
    for one in figures["paraphrase"]:
        if one["model"] == first:
            name = "Average precision of cosine"
            results.append(_result("Paraphrase detection", one["name"], "cosine_ap", name, one))
    for one in figures.get("mteb", []):  # reports of earlier versions have none
        if one["model"] == first:
            results.append(_result("mteb", one["task"], one["metric"], one["metric"], one))
    return results


_KEYS = {"accuracy": "accuracy", "spearman_cosine": "spearman", "cosine_ap": "average_precision"}


def _result(
    task: str, dataset: str, metric: str, metric_name: str, values: dict[str, Any]
) -> "EvalResult":
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="sentence-similarity",
        task_name=task,
        dataset_type=re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-"),
        dataset_name=dataset,
        metric_type=metric,
        metric_name=metric_name,
        metric_value=round(values[_KEYS.get(metric, "score")], 4),
    )
