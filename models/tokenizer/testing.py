"""Compares a tokenizer with Hugging Face's, for tests and benchmarks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tokenizers

from rejoinder.models.tokenizer.tokenizer import Tokenizer


def hugging_face_tokenizer(folder: str | Path) -> tokenizers.Tokenizer:
    """Returns Hugging Face's tokenizer of a folder; special tokens in a text are plain text."""
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def differences(
    ours: Tokenizer, theirs: tokenizers.Tokenizer, texts: Sequence[str], max_length: int = 128
) -> list[str]:
    """Returns the texts for which the two tokenizers return different ids."""
    theirs.enable_truncation(max_length)
    tokens = ours(tf.constant([text.encode() for text in texts], tf.string), max_length)
    flat, splits = tokens.ids.flat_values.numpy(), tokens.ids.row_splits.numpy()
    encodings = theirs.encode_batch_fast(list(texts))
    expected = np.array([i for encoding in encodings for i in encoding.ids], np.int32)
    lengths = [len(encoding.ids) for encoding in encodings]
    if np.array_equal(np.diff(splits), lengths) and np.array_equal(flat, expected):
        return []
    return [
        text
        for text, encoding, begin, end in zip(
            texts, encodings, splits[:-1], splits[1:], strict=True
        )
        if encoding.ids != flat[begin:end].tolist()
    ]
