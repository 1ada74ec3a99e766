"""Tokenizes with Hugging Face's library, with the ids of the tokenizer in the graph.

A server that embeds with OpenVINO needs TensorFlow for nothing but tokenizing, and TensorFlow
takes 0.7 GB of memory when it is imported. `Tokenizer` reproduces this library's ids, so the
library itself gives them too (`tests/models/test_hugging_face.py`).
"""

import json
import os
from collections.abc import Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

from rejoinder.models.tokenizer.charmap import hugging_face_digest
from rejoinder.models.tokenizer.spec import TokenizerSpec

# Of a text longer than this for each token that the model reads, the beginning is tried first.
_CHARACTERS_PER_TOKEN = 8


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
        settings = json.loads(tokenizer_json)
        self._normalizer_json = json.dumps(settings["normalizer"])
        self._max_length = max_length
        suffix = settings["model"]["continuing_subword_prefix"]
        tokens = sorted((index, token) for token, index in settings["model"]["vocab"].items())
        self._continues = np.array([token.startswith(suffix) for _, token in tokens])
        # Its own threads would compete with the engine's; the library reads this at each call.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

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
            row = self._encode(text.decode("utf-8", "replace"))
            if len(row) > self._max_length:
                truncated[index] = True
                row = np.append(row[: self._max_length - 1], row[-1])
            rows.append(row)
        return rows, truncated

    def _encode(self, text: str) -> NDArray[np.int32]:
        """Returns the ids of a text; of a long one, perhaps only those of its beginning."""
        end = _CHARACTERS_PER_TOKEN * self._max_length
        while end < len(text):
            row = self._encode_all(text[:end])
            # The last word may be a part of a word, so it does not count.
            words = np.flatnonzero(~self._continues[row[1:-1]])
            if len(words) and words[-1] > self._max_length - 2:
                return row
            end *= 4
        return self._encode_all(text)

    def _encode_all(self, text: str) -> NDArray[np.int32]:
        # A batch of one: only the functions for batches let other threads run.
        return np.array(self._tokenizer.encode_batch_fast([text])[0].ids, np.int32)
