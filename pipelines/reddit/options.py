"""Options of an extraction from Reddit dumps: equal options and inputs give equal bytes."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from rejoinder.errors import UserError
from rejoinder.options import check_ranges
from rejoinder.pipelines.reddit.times import read_time

# Options that a preset sets, beyond the filters of PolyAI's extractor.
PRESETS: dict[str, dict[str, bool]] = {
    "polyai": {},
    "clean": {
        "clean_text": True,
        "drop_removed_by_reddit": True,
        "drop_bots": True,
        "drop_duplicates": True,
    },
}

# Options that the first release did not have.
_LATER = (
    *("keep_months", "after", "before", "submissions"),
    *("decontaminate", "evaluation_sha256", "drop_deleted_later", "copies"),
    "hash_authors",
)


@dataclass(frozen=True)
class ExtractOptions:
    """The options of an extraction, recorded in the manifest.

    Attributes:
        min_chars: Fewest code points of a context or response.
        max_chars: Most code points of a context or response.
        extra_contexts: How many further ancestors become `context/0`….
        clean_text: Whether entities, quotes and markdown are removed before the filters.
        drop_removed_by_reddit: Whether `[ Removed by Reddit ]` is dropped.
        drop_bots: Whether comments by self-declared programs are dropped.
        drop_duplicates: Whether only one of equal pairs in the corpus is kept.
        drop_over_18: Whether comments marked `over_18` are dropped.
        drop_deleted_later: Whether comments are dropped that were deleted or removed after the
            archive had taken their text.
        copies: Which of several comments with one id counts: `passing` the filters, or `deleted`.
        after: Time from which on comments are kept, ISO 8601 in UTC; empty for no limit.
        before: Time from which on they are dropped; an unknown time is outside every limit.
        min_score: Lowest score, None for no limit; an unknown score is below every limit.
        subreddits: Names of the subreddits to keep; empty keeps all.
        block_subreddits: Names of the subreddits to drop.
        sample: Share of threads to keep, in (0, 1].
        submissions: What of a submission is the context of its comments: `title`,
            `title+selftext`, or "" for nothing.
        hash_authors: Fingerprint of the key (`authors.fingerprint`) with which the names of authors
            are replaced by hashes; "" keeps them.
        decontaminate: Evaluation files; pairs that contain one of their texts are dropped.
        evaluation_sha256: Digest of the n-grams in these files.
        limit: Number of lines to read of each file; 0 reads all.
        keep_text: Whether the train split has the text features too.
        max_length: Most token ids per side, `<s>` and `</s>` included.
        num_shards: Shards per split, and buckets of the shuffle; 0 chooses by input size.
        keep_months: Months of comments that the corpus keeps, so that later months can be
            added; 0 keeps none.
    """

    min_chars: int = 9
    max_chars: int = 127
    extra_contexts: int = 0
    clean_text: bool = False
    drop_removed_by_reddit: bool = False
    drop_bots: bool = False
    drop_duplicates: bool = False
    drop_over_18: bool = False
    drop_deleted_later: bool = False
    copies: str = "passing"
    after: str = ""
    before: str = ""
    min_score: int | None = None
    subreddits: tuple[str, ...] = ()
    block_subreddits: tuple[str, ...] = ()
    sample: float = 1.0
    submissions: str = ""
    hash_authors: str = ""
    decontaminate: tuple[str, ...] = ()
    evaluation_sha256: str = ""
    limit: int = 0
    keep_text: bool = False
    max_length: int = 128
    num_shards: int = 0
    keep_months: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "min_chars": (0, 1 << 20),
                "max_chars": (1, 1 << 20),
                "extra_contexts": (0, 100),
                "limit": (0, 1 << 60),
                "max_length": (3, 1 << 16),
                "num_shards": (0, 99_999),
                "keep_months": (0, 1200),
            },
        )
        if both := sorted({*self.subreddits} & {*self.block_subreddits}):
            raise UserError(
                f"--block-subreddits {both[0]}: --subreddits names it too; leave one of them out"
            )
        first = read_time("--after", self.after) if self.after else -math.inf
        last = read_time("--before", self.before) if self.before else math.inf
        if first >= last:
            raise UserError(
                f"--after {self.after} is not before --before {self.before}: no comment could pass"
            )
        if not 0 < self.sample <= 1:
            raise UserError(f"--sample: must be above 0 and at most 1, got {self.sample:g}")
        if self.min_chars > self.max_chars:
            raise UserError(
                f"--min-chars {self.min_chars} exceeds --max-chars {self.max_chars}: "
                "no comment could pass"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON values; those of `_LATER` only if they are set.

        So the manifest of a corpus that does not use them stays the same.
        """
        values = asdict(self)
        defaults = {field.name: field.default for field in fields(self)}
        values = {k: v for k, v in values.items() if v != defaults[k] or k not in _LATER}
        if self.extra_contexts:  # a corpus of the first release has their texts only
            values["context_ids"] = self.extra_contexts
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
