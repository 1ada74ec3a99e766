"""The features of one pair in a shard (`tf.train.Example`)."""

# int64 lists: token ids with <s> and </s>, cut to the corpus' maximum length.
CONTEXT_IDS = "context_ids"
RESPONSE_IDS = "response_ids"
ID_FEATURES = (CONTEXT_IDS, RESPONSE_IDS)
_NEGATIVE_IDS = "negative_ids"

# bytes, UTF-8: always in the test split, and with --keep-text in the train split.
CONTEXT = "context"
RESPONSE = "response"
CONTEXT_AUTHOR = "context_author"
RESPONSE_AUTHOR = "response_author"
SUBREDDIT = "subreddit"
THREAD_ID = "thread_id"
CONTEXT_ID = "context_id"  # comment ids without their t1_ prefix; submissions keep t3_
RESPONSE_ID = "response_id"
TEXT_FEATURES = (
    CONTEXT,
    RESPONSE,
    CONTEXT_AUTHOR,
    RESPONSE_AUTHOR,
    SUBREDDIT,
    THREAD_ID,
    CONTEXT_ID,
    RESPONSE_ID,
)


# bytes: int8 vectors of the model of `rejoinder mine --guide` (`rejoinder.models.quantize`).
GUIDE_CONTEXT = "guide_context"
GUIDE_RESPONSE = "guide_response"
GUIDES = (GUIDE_CONTEXT, GUIDE_RESPONSE)


def negative_ids(index: int) -> str:
    """Returns the feature name of a pair's `index`-th hard negative (0 = most similar).

    An int64 list like `RESPONSE_IDS`, in corpora of `rejoinder mine`. A pair for which fewer
    were found lacks the last ones.
    """
    return f"{_NEGATIVE_IDS}/{index}"


def holds_ids(name: str) -> bool:
    """Returns whether a feature holds token ids; every other feature holds a text."""
    return name.partition("/")[0] in (*ID_FEATURES, _NEGATIVE_IDS)


def extra_context_ids(index: int) -> str:
    """Returns the feature name of the token ids of `extra_context(index)`.

    An int64 list like `CONTEXT_IDS`, in both splits of corpora made with `--extra-contexts`. A
    pair with fewer ancestors lacks the last ones.
    """
    return f"{CONTEXT_IDS}/{index}"


def extra_context(index: int) -> str:
    """Returns the feature name of the `index`-th ancestor beyond the parent (0 = nearest)."""
    return f"context/{index}"


def extra_context_id(index: int) -> str:
    """Returns the feature name of the id of `extra_context(index)`."""
    return f"{CONTEXT_ID}/{index}"


def extra_context_author(index: int) -> str:
    """Returns the feature name of the author of `extra_context(index)`."""
    return f"{CONTEXT_AUTHOR}/{index}"


def further_text_features(count: int) -> list[str]:
    """Returns the names of the text features of the first `count` ancestors beyond the parent."""
    kinds = (extra_context, extra_context_author, extra_context_id)
    return [kind(index) for kind in kinds for index in range(count)]
