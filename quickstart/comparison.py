"""Chooses the texts that the last step of a quickstart compares."""

from rejoinder.corpus.features import CONTEXT, RESPONSE, THREAD_ID
from rejoinder.corpus.texts import read_text, require_text


def texts_to_compare(corpus: str) -> list[str]:
    """Returns the first test pair's context and response, and a response from another thread.

    Args:
        corpus: Folder of a corpus whose test split has text.

    Returns:
        Three texts, or two where the test split has a single thread.

    Raises:
        UserError: `corpus` is not a corpus, or its test split is empty or has no text.
    """
    shards = [shard.name for shard in require_text(corpus, "test").splits["test"]]
    features = (CONTEXT, RESPONSE, THREAD_ID)
    texts: list[str] = []
    first_thread = None
    for columns in read_text(corpus, shards, features):
        for context, response, thread in zip(*(columns[name] for name in features), strict=True):
            if not texts:
                texts, first_thread = [context, response], thread
            elif thread != first_thread:
                return [*texts, response]
    return texts
