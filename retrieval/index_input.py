"""What an index is built from: embeddings in Parquet, or a corpus whose texts are embedded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.corpus.features import SUBREDDIT
from rejoinder.corpus.naming import COMPLETED
from rejoinder.corpus.texts import read_text, require_text
from rejoinder.models.similarity import scale_to_unit_length

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder

_ROWS = 4096


def is_corpus(folder: str) -> bool:
    """Returns whether `folder` is a finished corpus."""
    return storage.exists(storage.join(folder, COMPLETED))


def corpus_batches(
    folder: str, encoder: "Encoder", *, field: str, splits: Sequence[str]
) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """Reads a corpus and embeds one of its text features.

    Args:
        folder: The corpus folder.
        encoder: Embeds the texts.
        field: The text feature, `response` or `context`.
        splits: The splits to read.

    Yields:
        The columns `text` and `subreddit`, at most 4,096 rows, and their embeddings,
        float32 [rows, d] of unit length. Empty texts are left out.

    Raises:
        UserError: A split carries no text.
    """
    names = [s.name for split in splits for s in require_text(folder, split).splits[split]]
    for columns in read_text(folder, names, (field, SUBREDDIT), batch_size=_ROWS):
        kept = [row for row in zip(columns[field], columns[SUBREDDIT], strict=True) if row[0]]
        if kept:
            texts, subreddits = (list(column) for column in zip(*kept, strict=True))
            # Not every model gives unit length.
            vectors = scale_to_unit_length(np.concatenate(list(encoder.stream(texts))))
            yield pa.table({TEXT: texts, SUBREDDIT: subreddits}), vectors
