"""Text to token ids inside the TensorFlow graph, equal to Hugging Face's fast tokenizer.

The Beam job, training, evaluation and the exported SavedModel share this one
implementation, so that a model always gets the tokens that it was trained with.

Two paths give the same ids. Plain ASCII text without control characters or overlong
words (nearly all English text) is only lower-cased before TF Text's WordPiece; other
text is normalized with the tables of `rejoinder.models.tokenizer.charmap` first.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rejoinder.models.tokenizer.charmap import (
    EXPANSION,
    NUM_CODE_POINTS,
    PAGE_SIZE,
    UNKNOWN_CHAR,
    build_charmap,
)
from rejoinder.models.tokenizer.spans import Vocabulary
from rejoinder.models.tokenizer.spec import FOLDER_FILES, TokenizerSpec, read_spec


class TokenizedText(NamedTuple):
    """Token ids of a batch of texts.

    Attributes:
        ids: int32 [n, None] ragged, with the special tokens, cut to the maximum.
        num_tokens: int32 [n], row lengths of `ids`.
        truncated: bool [n], whether tokens were cut off.
    """

    ids: tf.RaggedTensor
    num_tokens: tf.Tensor
    truncated: tf.Tensor


class Tokenizer(tf.Module):
    """WordPiece tokenizer with the ids of a Hugging Face tokenizer folder.

    A special token in a text (`</s>`) is ordinary text. Bytes that are not UTF-8 are
    read as U+FFFD, which the normalizer drops, as it drops NUL.

    Attributes:
        vocab_size: Number of token ids.
        bos_id: Id before every text.
        eos_id: Id after every text.
        pad_id: Id that fills rows.
        unk_id: Id of unknown words.
        fingerprint: sha256, in hex, of the vocabulary, the settings and the code point
            tables, which determine the ids.
        folder_files: Paths of the files to copy into an exported model.
        spec: Vocabulary and settings.
        vocabulary_json: What `rejoinder.models.tokenizer.spans` needs.
    """

    def __init__(self, spec: TokenizerSpec, folder_files: tuple[str, ...] = ()):
        super().__init__(name="tokenizer")
        normalizer_json = json.dumps(spec.normalizer, sort_keys=True)
        charmap = build_charmap(normalizer_json)
        self.vocab_size = len(spec.tokens)
        self.bos_id, self.eos_id = spec.bos_id, spec.eos_id
        self.pad_id, self.unk_id = spec.pad_id, spec.unk_id
        self.folder_files = folder_files
        self.spec = spec
        self.vocabulary_json = Vocabulary.of(spec).to_json()
        self.fingerprint = _fingerprint(spec, charmap.digest())
        self._lowercase = bool(spec.normalizer.get("lowercase", True))
        self._max_word_chars = spec.max_word_chars
        # Matches ASCII text without control characters and overlong words.
        word = f"[0-9A-Za-z]{{0,{min(spec.max_word_chars, 1000)}}}"
        self._plain_pattern = f"{word}(?:[\\t\\n\\r -/:-@\\[-`{{-~]{word})*"
        with tf.init_scope(), tf.device("/CPU:0"):
            self._wordpiece_model = tf.constant(_wordpiece_model(spec, charmap.stand_ins))
            self._page_of = tf.constant(charmap.page_of)
            self._pages = tf.constant(charmap.pages.reshape(-1))
            self._starts = tf.constant(charmap.starts)
            self._values = tf.constant(charmap.values)

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Tokenizer":
        """Reads a Hugging Face tokenizer folder.

        Raises:
            UserError: There is no `tokenizer.json`, or it is not of BERT's kind.
        """
        files = tuple(
            str(Path(folder) / name) for name in FOLDER_FILES if (Path(folder) / name).exists()
        )
        return cls(read_spec(folder), files)

    def __call__(self, texts: tf.Tensor, max_length: int | tf.Tensor = 128) -> TokenizedText:
        """Tokenizes texts.

        Args:
            texts: string [n], UTF-8.
            max_length: Maximum number of tokens of a row, the two special tokens
                included; a number of at least 3 or a scalar integer tensor.

        Returns:
            Ids, lengths and whether each text was cut.

        Raises:
            ValueError: `max_length` is a number below 3.
        """
        if isinstance(max_length, int) and max_length < 3:
            raise ValueError(f"max_length must be at least 3, got {max_length}")
        with tf.device("/CPU:0"):
            pieces = self._pieces(self.normalize(tf.convert_to_tensor(texts, tf.string)))
            return self._with_special_tokens(pieces, tf.cast(max_length, tf.int64))

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns normalized texts, string [n], which WordPiece splits as Hugging Face does."""
        plain = tf.strings.regex_full_match(texts, self._plain_pattern)
        others = tf.where(tf.logical_not(plain))
        mapped = self._map_code_points(tf.gather(texts, others[:, 0]))
        lower = tf.strings.lower(texts) if self._lowercase else texts
        return tf.tensor_scatter_nd_update(lower, others, mapped)

    def _map_code_points(self, texts: tf.Tensor) -> tf.Tensor:
        """Applies the normalizer's tables and replaces overlong words: string [n] to string [n]."""
        decoded = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")
        points = decoded.flat_values
        page = tf.gather(self._page_of, points // PAGE_SIZE)
        entry = tf.gather(self._pages, page * PAGE_SIZE + points % PAGE_SIZE)
        expands = entry <= EXPANSION
        expansion = tf.where(expands, EXPANSION - entry, 0)
        start = tf.gather(self._starts, expansion)
        length = tf.where(expands, tf.gather(self._starts, expansion + 1) - start, 1)
        # The index of the source character of each output character.
        ends = tf.concat([[0], tf.cumsum(tf.cast(length, tf.int64))], 0)
        source = tf.repeat(tf.range(tf.size(points)), length)
        within = tf.range(tf.size(source)) - tf.cast(tf.gather(ends, source), tf.int32)
        value = tf.where(
            tf.gather(expands, source),
            # Clipped, because the index must be valid even where the value is not used.
            tf.gather(
                self._values,
                tf.minimum(tf.gather(start, source) + within, tf.size(self._values) - 1),
            ),
            2 * tf.gather(points, source) + tf.gather(entry, source),
        )
        splits = tf.gather(ends, decoded.row_splits)
        chars, splits = self._replace_long_words(value // 2, tf.equal(value % 2, 1), splits)
        rows = tf.RaggedTensor.from_row_splits(chars, splits, validate=False)
        return tf.strings.unicode_encode(rows, "UTF-8")

    def _replace_long_words(
        self, chars: tf.Tensor, separator: tf.Tensor, splits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Replaces each word with too many characters by one unknown character.

        Args:
            chars: int32 [m] code points of all rows.
            separator: bool [m], whether the character ends a word.
            splits: int64 [n + 1] row boundaries in `chars`.

        Returns:
            `chars` and `splits` after the replacement.
        """
        total = tf.size(chars, out_type=tf.int64)
        row_start = tf.scatter_nd(splits[:-1, None], tf.ones_like(splits[:-1]), [total + 1])[:-1]
        after_separator = tf.concat([[True], separator[:-1]], 0)
        begins = tf.logical_or(after_separator, row_start > 0) | separator
        word = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        size = tf.math.bincount(tf.cast(word, tf.int32), dtype=tf.int64)
        too_long = tf.gather(size, word) > self._max_word_chars
        keep = tf.logical_or(begins, tf.logical_not(too_long))
        kept_before = tf.concat([[0], tf.cumsum(tf.cast(keep, tf.int64))], 0)
        chars = tf.where(too_long, UNKNOWN_CHAR, chars)
        return tf.boolean_mask(chars, keep), tf.gather(kept_before, splits)

    def _pieces(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Splits normalized texts into WordPiece ids: string [n] to int32 [n, None]."""
        import tensorflow_text as tf_text

        wordpiece = tf_text.FastWordpieceTokenizer(
            model_buffer=self._wordpiece_model, token_out_type=tf.int32
        )
        return wordpiece.tokenize(texts)

    def _with_special_tokens(self, pieces: tf.RaggedTensor, max_length: tf.Tensor) -> TokenizedText:
        """Cuts rows to `max_length - 2` pieces and puts the special tokens around them."""
        starts, full = pieces.row_starts(), pieces.row_lengths()
        lengths = tf.minimum(full, max_length - 2) + 2
        # Each row is read with one id before and one behind it, which are then replaced.
        flat = tf.concat([[self.bos_id], pieces.flat_values, [self.eos_id]], 0)
        rows = tf.ragged.range(starts, starts + lengths)
        splits = rows.row_splits
        ends = tf.concat([splits[:-1], splits[1:] - 1], 0)[:, None]
        specials = tf.repeat([self.bos_id, self.eos_id], tf.size(lengths))
        ids = tf.tensor_scatter_nd_update(tf.gather(flat, rows.flat_values), ends, specials)
        return TokenizedText(
            ids=tf.RaggedTensor.from_row_splits(ids, splits, validate=False),
            num_tokens=tf.cast(lengths, tf.int32),
            truncated=full > max_length - 2,
        )


def _wordpiece_model(spec: TokenizerSpec, stand_ins: dict[int, int]) -> np.ndarray:
    """Compiles the vocabulary for TF Text, uint8 [bytes]."""
    from tensorflow_text.core.pybinds import (
        pywrap_fast_wordpiece_tokenizer_model_builder as builder,
    )

    model = builder.build_fast_wordpiece_model(
        [token.translate(stand_ins) for token in spec.tokens],
        # Long words were replaced before, so this limit only has to be the higher one.
        4 * spec.max_word_chars,
        spec.suffix_indicator,
        spec.unk_token,
        False,  # no_pretokenization: split at spaces and punctuation
        False,  # support_detokenization
    )
    return np.frombuffer(model, np.uint8)


def _fingerprint(spec: TokenizerSpec, tables: bytes) -> str:
    settings = (
        spec.tokens,
        spec.suffix_indicator,
        spec.max_word_chars,
        spec.bos_id,
        spec.eos_id,
        spec.pad_id,
        spec.unk_id,
        NUM_CODE_POINTS,
    )
    text = json.dumps([settings, spec.normalizer], sort_keys=True)
    return hashlib.sha256(text.encode() + tables).hexdigest()
