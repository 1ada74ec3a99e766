"""What an evaluation found, as one object that becomes JSON, Markdown and HTML."""

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
        name: Shown in tables.
        accuracy: 1-of-n accuracy in [0, 1]; None where there is no complete batch of n.
        accuracy_interval: 95 % bootstrap interval, resampled by thread.
        gain: Difference to the first model on the same pairs (None for itself).
        gain_interval: 95 % interval of that difference; one that leaves out 0 is a real one.
        recall: Recall at k over all distinct responses, by k.
        mrr: Mean reciprocal rank over all distinct responses.
        texts_per_second: Rate of encoding, None for keyword methods.
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
    """The pairs that methods were compared on.

    Attributes:
        folder: The corpus.
        splits: Splits the pairs come from.
        pairs: Pairs read, the candidates of recall and MRR before equal texts are merged.
        batches: Complete batches of `candidates` pairs that 1-of-n is the mean of.
        batches_asked: Batches asked for, 500 in the reference.
        candidates: n of 1-of-n.
        distinct_responses: Candidates of recall and MRR.
        deduplicate: Whether only one pair was kept of each context.
        seed: Of the pairs' order.
        fitted_on: What the keyword baselines learned their word frequencies from.
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
    """Similarity by one model on one file."""

    model: str
    similarity: Similarity


@dataclass(frozen=True)
class ParaphraseResult:
    """Paraphrase detection by one model on one file."""

    model: str
    paraphrase: Paraphrase


@dataclass
class Evaluation:
    """All of it; empty parts were not asked for.

    Attributes:
        models: Path by name.
        data: The pairs of `ranking`, `histograms`, `slices` and the examples.
        curves: Of models that are a trainer's folder.
        examples_of: The method that `neighbours` and `mistakes` show: the first model.
        command: What made it.
        versions: Of the packages that computed it.
        seconds: What it took, loading included.
    """

    models: dict[str, str]
    data: RankingData | None = None
    ranking: list[RankingResult] = field(default_factory=list)
    similarity: list[SimilarityResult] = field(default_factory=list)
    paraphrase: list[ParaphraseResult] = field(default_factory=list)
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
    """JSON has no NaN: what could not be computed is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
