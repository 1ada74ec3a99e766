"""The results of an evaluation, written as JSON, Markdown and HTML."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from rejoinder.evaluation.curves import Curve
from rejoinder.evaluation.examples import Example
from rejoinder.evaluation.intervals import Interval
from rejoinder.evaluation.paraphrase import Paraphrase
from rejoinder.evaluation.slices import Histogram, Slice
from rejoinder.evaluation.sts import Similarity

FORMAT_VERSION = 1
RECALL_AT = (1, 10, 50)


@dataclass(frozen=True)
class RankingResult:
    """Response selection by one method.

    Attributes:
        name: Name in tables.
        is_model: Whether this is an encoder and not a keyword baseline.
        accuracy: 1-of-n accuracy in [0, 1]; None if there is no complete batch of n pairs.
        accuracy_interval: 95 % bootstrap interval, resampled by thread.
        gain: Difference of the accuracy to the first model's on the same pairs; None for the
            first model.
        gain_interval: 95 % interval of that difference, which is significant if the interval
            does not contain 0.
        recall: Recall at k over all distinct responses, by k.
        mrr: Mean reciprocal rank over all distinct responses.
        texts_per_second: Rate of encoding, None for keyword baselines.
    """

    name: str
    is_model: bool
    accuracy: float | None
    accuracy_interval: Interval | None
    gain: float | None
    gain_interval: Interval | None
    recall: dict[int, float]
    mrr: float
    texts_per_second: float | None = None


@dataclass(frozen=True)
class RankingData:
    """The pairs on which methods were compared.

    Attributes:
        folder: The corpus.
        splits: Splits the pairs come from.
        pairs: Number of pairs.
        batches: Number of complete batches of `candidates` pairs; 1-of-n is their mean.
        batches_asked: Number of batches requested, 500 in the reference.
        candidates: n of 1-of-n.
        distinct_responses: Number of candidates for recall and MRR.
        deduplicate: Whether only one pair of each context was kept.
        seed: Seed of the pairs' order.
        fitted_on: The texts on which the keyword baselines were fitted, in words.
    """

    folder: str
    splits: tuple[str, ...]
    pairs: int
    batches: int
    batches_asked: int
    candidates: int
    distinct_responses: int
    deduplicate: bool
    seed: int
    fitted_on: str | None


@dataclass(frozen=True)
class SimilarityResult:
    """Similarity of one model on one file."""

    model: str
    similarity: Similarity


@dataclass(frozen=True)
class ParaphraseResult:
    """Paraphrase detection of one model on one file."""

    model: str
    paraphrase: Paraphrase


@dataclass(frozen=True)
class MapResult:
    """A linear map that was learned on the embeddings of a model (`linear_map`).

    Attributes:
        model: Name of the model in tables.
        pairs: Training pairs, a fifth of which chose the map.
        rate: Learning rate that was best on that fifth.
        regularizer: Regularizer that was best.
        epochs: Epochs after which the map was taken.
        accuracy: 1-of-100 accuracy on that fifth, in [0, 1].
        unmapped: The same without the map.
    """

    model: str
    pairs: int
    rate: float
    regularizer: float
    epochs: int
    accuracy: float
    unmapped: float


@dataclass(frozen=True)
class MtebResult:
    """Main score of one model on one task of mteb.

    Attributes:
        model: Name in tables.
        task: Name of the task.
        metric: Name of its main score.
        score: Mean of the main score over its subsets and evaluated splits, in [-1, 1].
    """

    model: str
    task: str
    metric: str
    score: float


@dataclass
class Evaluation:
    """All results; parts that were not requested are empty.

    Attributes:
        models: {name in tables: path}.
        data: The pairs of `ranking`, `histograms`, `slices` and the examples.
        ranking: Response selection by each method.
        maps: The learned linear maps, by model.
        similarity: Semantic textual similarity, by model and file.
        paraphrase: Paraphrase detection, by model and file.
        mteb: Main scores of mteb's tasks, by model and task.
        histograms: Score distributions by method.
        slices: Accuracies by length and subreddit.
        curves: Learning curves of the models that are a MODEL_DIR.
        examples_of: The method of `neighbours` and `mistakes`: the first model.
        neighbours: Contexts with their nearest responses.
        mistakes: The pairs with the largest margins of a wrong response.
        command: The command line that wrote the report.
        versions: Versions of the packages used.
        seconds: Duration, including the loading of models.
    """

    models: dict[str, str]
    data: RankingData | None = None
    ranking: list[RankingResult] = field(default_factory=list)
    maps: list[MapResult] = field(default_factory=list)
    similarity: list[SimilarityResult] = field(default_factory=list)
    paraphrase: list[ParaphraseResult] = field(default_factory=list)
    mteb: list[MtebResult] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    examples_of: str = ""
    neighbours: list[Example] = field(default_factory=list)
    mistakes: list[Example] = field(default_factory=list)
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for `json.dump`."""
        values = asdict(self)
        values["similarity"] = [
            {"model": result.model, **asdict(result.similarity)} for result in self.similarity
        ]
        values["paraphrase"] = [
            {"model": result.model, **asdict(result.paraphrase)} for result in self.paraphrase
        ]
        return {"format_version": FORMAT_VERSION, **_without_nan(values)}


def _without_nan(value: Any) -> Any:
    """Returns `value` with NaN replaced by None, because JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
