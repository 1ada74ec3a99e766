"""What the job makes of one bucket of its shuffle."""

from collections import Counter
from dataclasses import dataclass

from rejoinder.pipelines.shards.encode import ShardData
from rejoinder.pipelines.shards.statistics import PairStatistics

# Counter of the pairs that are dropped because an equal pair is in the corpus.
DUPLICATE_PAIR = "duplicate_pair"


@dataclass(frozen=True)
class Bucket:
    """Result of processing one bucket.

    Attributes:
        shards: One shard per split of `rejoinder.corpus.naming.SPLITS`.
        counters: Every line of the bucket in exactly one counter.
        statistics: Histograms for the report.
    """

    shards: dict[str, ShardData]
    counters: Counter[str]
    statistics: PairStatistics
