"""The serving signatures: texts to embeddings.

Strings are handled in the signatures and numbers in `encode_token_ids`, so that the
numeric part can be compiled, or placed on an accelerator, by itself.
"""

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from rejoinder.models.saved_model.buckets import bucket_widths, encode_by_bucket

_TEXTS = tf.TensorSpec([None], tf.string)
_TOKEN_IDS = tf.TensorSpec([None, None], tf.int32)


class TextTokenizer(Protocol):
    """The parts of `rejoinder.models.tokenizer.Tokenizer` that the signatures use."""

    pad_id: int

    def __call__(self, texts: tf.Tensor, max_length: int = ...) -> Any:
        """Returns an object with `ids` (ragged int32), `num_tokens` and `truncated`."""


class ServingModule(tf.Module):
    """Tokenizer and encoder as one SavedModel.

    Signatures, with n any number of rows:

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `serving_default`, `encode_context`, `encode_response` | `text` string [n] | `embedding` float32 [n, d], `num_tokens` int32 [n], `truncated` bool [n] |
    | `encode_multi_context` | `text`, `extra_contexts` string [n]: a context, and its earlier turns as one text, nearest first with spaces between, or "" | as above, of both |
    | `score` | `context`, `response` string [n] | `score` float32 [n], the cosine similarity |
    | `tokenize` | `text` string [n] | `token_ids` int32 [n, longest] filled with `pad_id`, `num_tokens`, `truncated` |
    | `encode_tokens` | `token_ids` int32 [n, s], s ≤ `max_length` | `embedding` float32 [n, d] |

    Context and response share one tower. Both names exist so that clients work with
    a model of two towers as well.
    """  # noqa: E501

    def __init__(
        self,
        tokenizer: TextTokenizer,
        encoder: Callable[..., tf.Tensor],
        *,
        max_length: int,
        dimension: int,
    ):
        """Wraps a tokenizer and an encoder.

        Args:
            tokenizer: Text to ids; tracked, so its tables are saved with the module.
            encoder: `encoder({"token_ids": int32 [b, s]}, training=False)` → float32 [b, d].
            max_length: Maximum number of tokens of a text, `<s>` and `</s>` included.
            dimension: d; of an encoder with more components the first d are kept.
        """
        super().__init__(name="sentence_encoder")
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.max_length = max_length
        self.dimension = dimension

    @tf.function(input_signature=[_TOKEN_IDS])
    def encode_token_ids(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Encodes padded ids int32 [b, s] as float32 [b, d], without string operations."""
        embedding = self.encoder({"token_ids": token_ids}, training=False)
        embedding = tf.cast(embedding, tf.float32)[:, : self.dimension]
        return tf.ensure_shape(embedding, [None, self.dimension])

    @tf.function(input_signature=[_TOKEN_IDS, _TOKEN_IDS, _TOKEN_IDS])
    def encode_packed(
        self, token_ids: tf.Tensor, segment_ids: tf.Tensor, positions: tf.Tensor
    ) -> tf.Tensor:
        """Encodes packed rows; for `rejoinder serve`, not a signature.

        Args:
            token_ids: int32 [b, s].
            segment_ids: int32 [b, s]; 0 is padding, 1… the number of the text in its row.
            positions: int32 [b, s], 0-based inside the text.

        Returns:
            float32 [b, k, d], k the maximum number of texts in a row; zeros where a row has fewer.
        """
        packed = {"token_ids": token_ids, "segment_ids": segment_ids, "positions": positions}
        most = tf.reduce_max(segment_ids)
        embedding = self.encoder(packed, training=False, max_segments=most)
        embedding = tf.cast(embedding, tf.float32)[:, :, : self.dimension]
        return tf.ensure_shape(embedding, [None, None, self.dimension])

    @tf.function(input_signature=[_TEXTS])
    def encode(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signatures `serving_default`, `encode_context` and `encode_response`."""
        tokens = self.tokenizer(text, max_length=self.max_length)
        return {
            "embedding": self._encode_ragged(tokens.ids),
            "num_tokens": tokens.num_tokens,
            "truncated": tokens.truncated,
        }

    @tf.function(input_signature=[_TEXTS, _TEXTS])
    def encode_multi_context(
        self, text: tf.Tensor, extra_contexts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Signature `encode_multi_context`; a row without earlier turns is that of `encode`.

        With earlier turns the embedding is the sum of both, scaled to unit length.
        """
        rows = tf.shape(text)[0]
        tf.debugging.assert_equal(
            rows,
            tf.shape(extra_contexts)[0],
            "text and extra_contexts must have the same number of rows",
        )
        with_turns = tf.where(tf.not_equal(extra_contexts, ""))
        turns = tf.gather_nd(extra_contexts, with_turns)
        tokens = self.tokenizer(tf.concat([text, turns], 0), max_length=self.max_length)
        embeddings = self._encode_ragged(tokens.ids)
        last, earlier = embeddings[:rows], embeddings[rows:]
        both = tf.math.l2_normalize(tf.gather_nd(last, with_turns) + earlier, axis=-1)
        truncated = tf.cast(tokens.truncated, tf.int32)
        return {
            "embedding": tf.tensor_scatter_nd_update(last, with_turns, both),
            "num_tokens": tf.tensor_scatter_nd_add(
                tokens.num_tokens[:rows], with_turns, tokens.num_tokens[rows:]
            ),
            "truncated": tf.tensor_scatter_nd_add(truncated[:rows], with_turns, truncated[rows:])
            > 0,
        }

    @tf.function(input_signature=[_TEXTS, _TEXTS])
    def score(self, context: tf.Tensor, response: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `score`: row i is the similarity of context i and response i."""
        pairs = tf.shape(context)[0]
        tf.debugging.assert_equal(
            pairs, tf.shape(response)[0], "context and response must have the same number of rows"
        )
        tokens = self.tokenizer(tf.concat([context, response], 0), max_length=self.max_length)
        # Not every model gives unit length.
        embeddings = tf.math.l2_normalize(self._encode_ragged(tokens.ids), axis=-1)
        return {"score": tf.reduce_sum(embeddings[:pairs] * embeddings[pairs:], -1)}

    @tf.function(input_signature=[_TEXTS])
    def tokenize(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `tokenize`."""
        tokens = self.tokenizer(text, max_length=self.max_length)
        return {
            "token_ids": tokens.ids.to_tensor(self.tokenizer.pad_id),
            "num_tokens": tokens.num_tokens,
            "truncated": tokens.truncated,
        }

    @tf.function(input_signature=[_TOKEN_IDS])
    def encode_tokens(self, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `encode_tokens`."""
        tf.debugging.assert_less_equal(
            tf.shape(token_ids)[1],
            self.max_length,
            f"token_ids must have at most {self.max_length} columns",
        )
        return {"embedding": self.encode_token_ids(token_ids)}

    def signatures(self) -> dict[str, Any]:
        """Returns the concrete functions under their public names."""
        encode = self.encode.get_concrete_function()
        return {
            "serving_default": encode,
            "encode_context": encode,
            "encode_response": encode,
            "encode_multi_context": self.encode_multi_context.get_concrete_function(),
            "score": self.score.get_concrete_function(),
            "tokenize": self.tokenize.get_concrete_function(),
            "encode_tokens": self.encode_tokens.get_concrete_function(),
        }

    def _encode_ragged(self, ids: tf.RaggedTensor) -> tf.Tensor:
        return encode_by_bucket(
            self.encode_token_ids,
            ids,
            widths=bucket_widths(self.max_length),
            dimension=self.dimension,
            pad_id=self.tokenizer.pad_id,
        )
