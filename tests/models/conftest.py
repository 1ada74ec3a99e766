"""Fixtures of the model's tests: a tiny checkpoint with known results, a small tokenizer."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer.wordpiece import train_wordpiece
from rejoinder.models.weights import load_huggingface_weights

GOLDEN = Path(__file__).parent / "golden"
TEXTS = (
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "Wow!!! That's £5 — naïve café, ÇA VA? Straße İstanbul",
    "日本語のテキスト and 中文 mixed with русский текст и עברית",
    "emoji 😀👍🏽 and http://example.com/a_b?c=d&e=f#g (see [1])",
    "tabs\tand\nnewlines\r\nand   spaces\u3000and\u00a0nbsp",
    "</s> <s> [UNK] <mask> are plain text here",
    "combining e\u0301 a\u0308 marks, ﬁ ligature, \uff11\uff12 wide digits, ½",
)


class Golden(NamedTuple):
    folder: Path
    token_ids: np.ndarray  # int32 [5, 150]
    hidden: np.ndarray  # float32 [real tokens, 16], row after row
    embedding: np.ndarray  # float32 [5, 16]


@pytest.fixture(scope="session")
def golden() -> Golden:
    """The tiny checkpoint and what Hugging Face's MPNet makes of it (`make_golden.py`)."""
    from safetensors.numpy import load_file

    return Golden(GOLDEN, **load_file(GOLDEN / "results.safetensors"))


@pytest.fixture
def make_encoder(golden):
    """Makes an encoder with the tiny checkpoint's weights."""

    def make(dtype: str | None = None, dropout: float = 0.0, **kwargs) -> SentenceEncoder:
        config = MPNetConfig.from_folder(golden.folder).to_dict() | {
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
        }
        encoder = SentenceEncoder(MPNetConfig(**config), dtype=dtype, **kwargs)
        load_huggingface_weights(encoder, golden.folder)
        return encoder

    return make


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """A tokenizer folder whose vocabulary was learned from `TEXTS`."""
    return train_wordpiece(TEXTS * 3, 300, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def ragged_ids() -> tf.RaggedTensor:
    """Token ids of 40 texts of 3 to 20 tokens for the tiny checkpoint."""
    rng = np.random.default_rng(3)
    rows = [[0, *rng.integers(3, 39, rng.integers(1, 19)), 2] for _ in range(40)]
    return tf.ragged.constant(rows, dtype=tf.int32)


@pytest.fixture(scope="session")
def texts() -> tuple[str, ...]:
    """Texts of many scripts, with spaces, controls and special tokens in them."""
    return TEXTS
