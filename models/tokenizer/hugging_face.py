"""Tokenizes with Hugging Face's library, with the ids of the tokenizer in the graph.

A server that embeds with OpenVINO needs TensorFlow for nothing but tokenizing, and TensorFlow
takes 0.7 GB of memory when it is imported. `Tokenizer` reproduces this library's ids, so the
library itself gives them too (`tests/models/test_hugging_face.py`).
"""

import json
from collections.abc import Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

from rejoinder.models.tokenizer.charmap import hugging_face_digest
from rejoinder.models.tokenizer.spec import TokenizerSpec


def to_json(spec: TokenizerSpec) -> str:
    """Returns a `tokenizer.json` that treats special tokens in a text as plain text."""
    tokenizer = tokenizers.Tokenizer(
        models.WordPiece(
            {token: index for index, token in enumerate(spec.tokens)},
            unk_token=spec.unk_token,
            max_input_chars_per_word=spec.max_word_chars,
            continuing_subword_prefix=spec.suffix_indicator,
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=spec.normalizer.get("handle_chinese_chars", True),
        strip_accents=spec.normalizer.get("strip_accents"),
        lowercase=spec.normalizer.get("lowercase", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        (spec.tokens[spec.eos_id], spec.eos_id), (spec.tokens[spec.bos_id], spec.bos_id)
    )
    return tokenizer.to_str()


class HuggingFaceTokenizer:
    """Tokenizes texts as `rejoinder.models.tokenizer.Tokenizer` does."""

    def __init__(self, tokenizer_json: str, max_length: int):
        """Creates a tokenizer.

        Args:
            tokenizer_json: From `to_json`.
            max_length: Maximum number of tokens of a text, the two special tokens included.
        """
        self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        self._normalizer_json = json.dumps(json.loads(tokenizer_json)["normalizer"])
        self._max_length = max_length

    def digest(self) -> str:
        """Returns a digest of the installed library's Unicode tables, see `hugging_face_digest`."""
        return hugging_face_digest(self._normalizer_json)

    def __call__(self, texts: Sequence[bytes]) -> tuple[list[NDArray[np.int32]], NDArray[np.bool_]]:
        """Tokenizes n texts.

        Args:
            texts: UTF-8; invalid bytes are read as U+FFFD, which the normalizer drops.

        Returns:
            n int32 arrays of token ids, and bool [n]: whether the text was truncated.
        """
        rows, truncated = [], np.zeros([len(texts)], np.bool_)
        # One by one, so that the tokens of few texts are in memory, which take much more than ids.
        for index, text in enumerate(texts):
            row = np.array(self._tokenizer.encode(text.decode("utf-8", "replace")).ids, np.int32)
            if len(row) > self._max_length:
                truncated[index] = True
                row = np.append(row[: self._max_length - 1], row[-1])
            rows.append(row)
        return rows, truncated
