"""What an index is built from: a corpus, whose texts are embedded, or embeddings in Parquet."""

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rejoinder.corpus.features import SUBREDDIT
from rejoinder.corpus.naming import COMPLETED
from rejoinder.corpus.texts import read_text, require_text
from rejoinder.errors import UserError
from rejoinder.retrieval.index import TEXT

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder

Batch = tuple[pa.Table, NDArray[np.floating]]
EMBEDDING = "embedding"
_ROWS = 4096


def is_corpus(folder: str) -> bool:
    """Returns whether `folder` is a finished corpus."""
    return os.path.exists(os.path.join(folder, COMPLETED))


def embedding_model(folder: str) -> str | None:
    """Returns the model that `rejoinder.retrieval.embed` used for a folder, None if it does not say."""
    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            return json.load(file)["spec"]["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def embedded_batches(folder: str) -> Iterator[Batch]:
    """Yields the rows of Parquet files with the columns `text` and `embedding`.

    Rows without a text are left out; embeddings are brought to unit length.

    Raises:
        UserError: there is no such file, or it lacks one of these columns.
    """
    names = sorted(name for name in os.listdir(folder) if name.endswith(".parquet"))
    if not names:
        raise UserError(f"{folder}: is neither a corpus nor a folder of Parquet files")
    for name in names:
        path = os.path.join(folder, name)
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: not a Parquet file ({error})") from error
        have = file.schema_arrow.names
        if TEXT not in have or EMBEDDING not in have:
            raise UserError(
                f"{path}: needs the columns text and embedding, has {', '.join(have)}; "
                "make it with `make embed`"
            )
        for batch in file.iter_batches(_ROWS):
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.greater(pc.utf8_length(table[TEXT]), 0))
            column = table[EMBEDDING].combine_chunks()
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            if len(table):
                vectors = numbers.reshape(len(table), -1).astype(np.float32)
                norm = np.linalg.norm(vectors, axis=1, keepdims=True)
                yield table.drop_columns([EMBEDDING]), vectors / np.where(norm == 0, 1, norm)


def corpus_batches(
    folder: str, encoder: "Encoder", *, field: str, splits: Sequence[str]
) -> Iterator[Batch]:
    """Yields the texts of a corpus' feature `field`, embedded as they are read.

    Raises:
        UserError: a split carries no text.
    """
    names = [s.name for split in splits for s in require_text(folder, split).splits[split]]
    for columns in read_text(folder, names, (field, SUBREDDIT), batch_size=_ROWS):
        kept = [row for row in zip(columns[field], columns[SUBREDDIT], strict=True) if row[0]]
        if kept:
            texts, subreddits = (list(column) for column in zip(*kept, strict=True))
            vectors = list(itertools.chain(encoder.stream(texts)))
            yield pa.table({TEXT: texts, SUBREDDIT: subreddits}), np.concatenate(vectors)
