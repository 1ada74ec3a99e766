"""The features of one pair in a shard (`tf.train.Example`)."""

# int64 lists: token ids with <s> and </s>, cut to the corpus' maximum length.
CONTEXT_IDS = "context_ids"
RESPONSE_IDS = "response_ids"
ID_FEATURES = (CONTEXT_IDS, RESPONSE_IDS)

# bytes, UTF-8: always in the test split, and with --keep-text in the train split.
CONTEXT = "context"
RESPONSE = "response"
CONTEXT_AUTHOR = "context_author"
RESPONSE_AUTHOR = "response_author"
SUBREDDIT = "subreddit"
THREAD_ID = "thread_id"
CONTEXT_ID = "context_id"  # comment ids without their t1_ prefix
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


def extra_context(index: int) -> str:
    """Returns the feature name of the `index`-th ancestor beyond the parent (0 = nearest)."""
    return f"context/{index}"
