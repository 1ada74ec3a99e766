"""Reads the pairs of a corpus with their texts, token ids and threads, and embeds one side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus import features
from rejoinder.corpus.manifest import Shard
from rejoinder.corpus.reading import read_columns

ROWS = 4096


@dataclass(frozen=True)
class PairRows:
    """Consecutive pairs of a shard, at most 4,096.

    Attributes:
        texts: `context` and `response` by their feature names.
        ids: Their token ids, by `context_ids` and `response_ids`.
        threads: Threads; empty where the corpus names none.
    """

    texts: dict[str, list[str]]
    ids: dict[str, list[NDArray[np.int64]]]
    threads: list[str]


def read_pairs(folder: str, shard: Shard) -> Iterator[PairRows]:
    """Yields the pairs of a shard in order.

    Args:
        folder: The corpus folder.
        shard: A shard of a split that carries text.

    Raises:
        UserError: The shard is missing or damaged.
    """
    sides = (features.CONTEXT, features.RESPONSE)
    names = [*features.ID_FEATURES, *sides, features.THREAD_ID]
    for reader, spans in read_columns(storage.join(folder, shard.name), names, ROWS):
        ids = {}
        for name in features.ID_FEATURES:
            values, splits = reader.ids(spans[name])
            ids[name] = np.split(values, splits[1:-1])
        texts = {name: reader.texts(spans[name]) for name in sides}
        yield PairRows(texts, ids, reader.texts(spans[features.THREAD_ID]))
