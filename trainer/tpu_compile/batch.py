"""Features with the shapes of a configuration's largest batch."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.corpus.features import GUIDES
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.config import TaskConfig
from rejoinder.trainer.data.corpora import Corpus
from rejoinder.trainer.data.inputs import (
    TRAIN_DEVIATIONS,
    Shares,
    check_batch_size,
    make_layout,
    pad_id,
    parts_to_read,
    sample_pairs,
    sentences_of_a_pair,
)
from rejoinder.trainer.data.layout import PackedLayout
from rejoinder.trainer.data.records import Pairs, Ragged, Turns, with_log_frequency
from rejoinder.trainer.data.sampler import Batch
from rejoinder.trainer.encoding import ROW_FEATURES

MEAN_LENGTH = 18.5  # tokens of a sentence of Reddit comments, with <s> and </s>
_SAMPLE = 16_384  # pairs
_SPECIAL = 2  # <s> and </s>


def make_features(
    task: TaskConfig, sizes: MPNetConfig, corpora: Sequence[Corpus], replicas: int
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Returns one replica's features of the largest batch, and the assumptions behind them.

    Args:
        task: Configuration.
        sizes: Sizes of the encoder.
        corpora: The corpora to train on; without any, lengths are assumed.
        replicas: Replicas among which a batch is divided.

    Raises:
        UserError: The batch cannot be divided, or its layout is not valid.
    """
    shares, data = Shares(replicas=replicas), task.train_data
    check_batch_size(data, shares, "task.train_data")
    parts = parts_to_read(task)
    samples = [sample_pairs(corpus, parts) for corpus in corpora]
    assumptions = []
    if not corpora:
        samples = [assumed_pairs(task.model.max_length, parts.negatives, parts.turns)]
        if data.layout == "packed":  # the others pad to the longest sentence there can be
            assumptions.append(
                f"{MEAN_LENGTH} tokens a sentence, geometrically distributed (no --corpus)"
            )
    padding = pad_id(corpora) if corpora else sizes.pad_token_id
    layout = make_layout(task, data, samples, padding, shares, TRAIN_DEVIATIONS)
    pairs = samples[0].take(np.resize(np.arange(len(samples[0])), data.global_batch_size))
    if task.loss.log_q:
        pairs = with_log_frequency(pairs)
    if parts.guide and not corpora:  # its dimension is that of a guide as large as the encoder
        vectors = np.zeros([len(pairs), sizes.hidden_size], np.int8)
        pairs = dataclasses.replace(pairs, extra=pairs.extra | dict.fromkeys(GUIDES, vectors))
    if parts.threads and not corpora:
        threads = np.zeros([len(pairs), 2], np.int32)
        pairs = dataclasses.replace(pairs, extra=pairs.extra | {"thread_key": threads})
    arranged = layout.arrange(Batch(pairs, np.zeros([len(pairs)], np.int32))).replicas[0]
    if isinstance(layout, PackedLayout):
        rows = layout.row_counts[-1], layout.row_length
    else:
        sentences = sentences_of_a_pair(task) * data.global_batch_size
        rows = sentences // replicas, task.model.max_length
    largest = {name: np.zeros(rows, np.int32) for name in ROW_FEATURES if name in arranged}
    return {**arranged, **largest}, assumptions


def assumed_pairs(max_length: int, negatives: int = 0, turns: Turns | None = None) -> Pairs:
    """Returns pairs with the assumed lengths; their ids have no meaning.

    Args:
        max_length: Length at which sentences are cut, tokens.
        negatives: Hard negatives of each pair.
        turns: The earlier turns; they are assumed to be there, and as many as there can be.
    """
    rng = np.random.default_rng(0)

    def side(texts: int = 1, longest: int = max_length) -> Ragged:
        shape = [texts, _SAMPLE]
        lengths = _SPECIAL + rng.geometric(1 / (MEAN_LENGTH - _SPECIAL), shape).sum(axis=0)
        splits = np.concatenate([[0], np.cumsum(np.minimum(lengths, longest))])
        return Ragged(np.zeros(splits[-1], np.int32), splits)

    pair, hard = (side(), side()), tuple(side() for _ in range(negatives))
    return Pairs(
        *pair, negatives=hard, earlier=(side(turns.count, turns.max_length),) if turns else ()
    )
