"""What the job makes of one bucket of its shuffle."""

from collections import Counter
from dataclasses import dataclass, field

from rejoinder.pipelines.shards.encode import ShardData
from rejoinder.pipelines.shards.shared_texts import SharedTexts
from rejoinder.pipelines.shards.statistics import PairStatistics

# Counter of the pairs that are dropped because an equal pair is in the corpus.
DUPLICATE_PAIR = "duplicate_pair"
# Counter of those that are dropped because they contain a text of an evaluation.
CONTAMINATED_PAIR = "contaminated_pair"


@dataclass(frozen=True)
class Bucket:
    """Result of processing one bucket.

    Attributes:
        shards: One shard per split of `rejoinder.corpus.naming.SPLITS`.
        counters: Every line of the bucket in exactly one counter.
        statistics: Histograms for the report.
        shared: The texts of each split, to find those that both have.
        state: The bucket's file of the thread state; None if the corpus keeps none.
    """

    shards: dict[str, ShardData]
    counters: Counter[str]
    statistics: PairStatistics
    shared: SharedTexts = field(default_factory=SharedTexts)
    state: bytes | None = None
