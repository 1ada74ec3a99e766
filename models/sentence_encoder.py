"""MPNet with mean pooling and L2 normalization: token ids to sentence embeddings."""

import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import MPNetConfig, MPNetEncoder


@tf_keras.saving.register_keras_serializable("rejoinder")
class SentenceEncoder(tf_keras.Model):
    """The sentence encoder, with the architecture of all-mpnet-base-v2.

    The compute dtype follows `tf_keras.mixed_precision`'s global policy;
    normalization, softmax, pooling and the result are always float32.

    Args:
        config: Hyperparameters, or their dictionary.
        recompute: See `MPNetEncoder`.
        frozen_layers: See `MPNetEncoder`.
        normalize: Whether embeddings are scaled to unit length. Models of other projects
            may leave it out; training needs it.
    """

    def __init__(
        self,
        config: MPNetConfig | dict,
        recompute: bool = False,
        frozen_layers: int = 0,
        normalize: bool = True,
        **kwargs,
    ):
        super().__init__(**({"name": "sentence_encoder"} | kwargs))
        self.normalize = normalize
        self.config = config if isinstance(config, MPNetConfig) else MPNetConfig(**config)
        with tf.name_scope(self.name):
            self.mpnet = MPNetEncoder(
                self.config, recompute, frozen_layers, dtype=self._dtype_policy
            )
        self.built = True

    def call(self, inputs, training=None, max_segments=None, seed=None):
        """Embeds texts.

        Args:
            inputs: `token_ids` int32 [b, s]; for packed rows also `segment_ids`
                and `positions`, int32 [b, s] (see `rejoinder.models.packing`).
            training: Whether to apply dropout.
            max_segments: Maximum number of texts in a packed row; required for packed rows.
            seed: int32 [2] that determines the dropout masks; random by default.

        Returns:
            float32 [b, d], or [b, max_segments, d] for packed rows, of unit length if
            `normalize`; zeros for missing texts.
        """
        token_ids, segment_ids = inputs["token_ids"], inputs.get("segment_ids")
        hidden = self.mpnet(
            token_ids,
            segment_ids=segment_ids,
            positions=inputs.get("positions"),
            training=training,
            seed=seed,
        )
        hidden = tf.cast(hidden, tf.float32)
        if segment_ids is None:
            real = tf.not_equal(token_ids, self.config.pad_token_id)
            members = tf.cast(real, tf.float32)[:, :, None]
            return self._scale(pool(hidden, members))[:, 0]
        if max_segments is None:
            raise ValueError("packed rows need max_segments, the maximum number of texts in a row")
        return self._scale(pool(hidden, tf.one_hot(segment_ids - 1, max_segments)))

    def _scale(self, means: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(means, axis=-1) if self.normalize else means

    def stored_as(self, dtype: str) -> "SentenceEncoder":
        """Returns a copy for inference that stores and multiplies matrices in `dtype`.

        A mixed policy casts every matrix in every step, a fifth of the time of a small
        step. The copy casts once, and its results are equal.
        """
        copy = SentenceEncoder(self.config, normalize=self.normalize, dtype=dtype)
        for source, target in zip(self.variables, copy.variables, strict=True):
            target.assign(tf.cast(source, target.dtype))
        return copy

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "config": self.config.to_dict(),
            "recompute": self.mpnet.recompute,
            "frozen_layers": self.mpnet.frozen_layers,
            "normalize": self.normalize,
            "dtype": self._dtype_policy.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes an encoder with new weights from `get_config`'s result."""
        del custom_objects
        return cls(**config)


def pool(hidden: tf.Tensor, members: tf.Tensor) -> tf.Tensor:
    """Averages the hidden states of each text's tokens.

    Args:
        hidden: float32 [b, s, d].
        members: float32 [b, s, k], 1 where a token belongs to text k of the row.

    Returns:
        float32 [b, k, d]; zeros for a text without tokens.
    """
    sums = tf.matmul(members, hidden, transpose_a=True)
    counts = tf.reduce_sum(members, axis=1)[:, :, None]
    return sums / tf.maximum(counts, 1.0)
