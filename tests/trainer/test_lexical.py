"""The idf start: texts that share rare words are close before any training."""

import numpy as np
import tensorflow as tf

from models import SentenceEncoder
from models.mpnet import MPNetConfig
from trainer.data.records import Pairs, Ragged
from trainer.lexical import document_frequencies, start_from_idf


def ragged(rows: list[list[int]]) -> Ragged:
    lengths = [len(row) for row in rows]
    values = np.concatenate([np.asarray(row, np.int32) for row in rows])
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))


def test_document_frequency_counts_a_text_once():
    counts = document_frequencies([ragged([[0, 5, 5, 2], [0, 5, 6, 2]])], 8)
    assert counts.tolist() == [2, 0, 2, 0, 0, 2, 1, 0]


def test_rare_words_outweigh_frequent_ones():
    rng = np.random.default_rng(0)
    # Token 10 is in every text, the others in few.
    rows = [[0, 10, *rng.integers(11, 500, 6), 2] for _ in range(400)]
    config = MPNetConfig(
        vocab_size=500,
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    encoder = SentenceEncoder(config)
    start_from_idf(encoder, Pairs(ragged(rows[:200]), ragged(rows[200:])), 0.1, seed=0)
    texts = tf.constant([[0, 10, 20, 21, 2], [0, 22, 20, 23, 2], [0, 10, 24, 25, 2]])
    embeddings = encoder({"token_ids": texts}).numpy()
    shares_rare, shares_frequent = embeddings[1] @ embeddings[0], embeddings[2] @ embeddings[0]
    assert shares_rare > 0.2
    assert shares_rare > shares_frequent + 0.15
