"""The MPNet transformer: token ids to hidden states, with one or several texts in a row.

Song et al. 2020, "MPNet: Masked and Permuted Pre-training for Language
Understanding"; parameters and arithmetic as in Hugging Face's `MPNetModel`.
"""

import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import compiled, whole_step
from rejoinder.models.mpnet.attention import MASKED, RelativeBias
from rejoinder.models.mpnet.config import POSITION_OFFSET, MPNetConfig
from rejoinder.models.mpnet.layer import EncoderLayer
from rejoinder.models.mpnet.layers import LayerNorm, dense, normal, site_seed


@tf_keras.saving.register_keras_serializable("rejoinder")
class MPNetEncoder(tf_keras.layers.Layer):
    """The transformer. Several texts may share a row (a packed row).

    In a packed row each text is a run of columns, so the difference of two columns of
    a text is their relative position, and one bias of the row's length serves all rows.
    Attention between texts is masked.

    Args:
        config: Hyperparameters, or their dictionary.
        recompute: Whether the backward pass computes each layer again instead of
            keeping its activations: about a third more time for less memory.
        frozen_layers: Number of lowest layers that are not trained and have no dropout;
            the embeddings and the relative bias are frozen with them. 0 trains all.
    """

    def __init__(
        self,
        config: MPNetConfig | dict,
        recompute: bool = False,
        frozen_layers: int = 0,
        **kwargs,
    ):
        super().__init__(**({"name": "mpnet"} | kwargs))
        self.config = config if isinstance(config, MPNetConfig) else MPNetConfig(**config)
        self.recompute = recompute
        self.frozen_layers = frozen_layers
        config = self.config
        with tf.name_scope(self.name):
            # The tables stay float32: casting a whole table does not make a lookup
            # faster, and the looked-up vectors are normalized in float32.
            self.word_embeddings = self.add_weight(
                name="word_embeddings",
                dtype="float32",
                experimental_autocast=False,
                shape=[config.vocab_size, config.hidden_size],
                initializer=normal(config.initializer_range),
                trainable=not frozen_layers,
            )
            self.position_embeddings = self.add_weight(
                name="position_embeddings",
                dtype="float32",
                experimental_autocast=False,
                shape=[config.max_position_embeddings, config.hidden_size],
                initializer=normal(config.initializer_range),
                trainable=not frozen_layers,
            )
            self.embeddings_norm = LayerNorm(
                config.hidden_size, config.layer_norm_eps, "embeddings_layer_norm"
            )
            self.relative_bias = RelativeBias(
                config.relative_attention_num_buckets,
                config.num_attention_heads,
                config.max_length,
                config.initializer_range,
            )
            self.layers = [
                EncoderLayer(config, name=f"layer_{index}", dtype=self._dtype_policy)
                for index in range(config.num_hidden_layers)
            ]
            # Mean pooling does not use it. It is kept so that a checkpoint is saved
            # with every tensor that it was loaded with.
            self.pooler = dense(config.hidden_size, config.hidden_size, "pooler", 0.0, "float32")
            self.pooler.trainable = False
            if frozen_layers:
                self.embeddings_norm.trainable = self.relative_bias.trainable = False
            for layer in self.layers[:frozen_layers]:
                layer.trainable = False
        self.built = True

    def call(self, token_ids, segment_ids=None, positions=None, training=None, seed=None):
        """Encodes rows of tokens.

        Args:
            token_ids: int32 [b, s].
            segment_ids: int32 [b, s] for packed rows: 0 is padding, 1… the number
                of the text in its row. Without it a row is one text, and tokens equal
                to the padding id are padding.
            positions: int32 [b, s], 0-based inside the text; required with
                `segment_ids`.
            training: Whether to apply dropout.
            seed: int32 [2] that determines the dropout masks; random by default.

        Returns:
            Hidden states, float32 [b, s, hidden_size]; undefined for padding.

        Raises:
            ValueError: Packed rows without positions, or a row of one text that is
                longer than the position table.
        """
        config = self.config
        if segment_ids is None:
            if (token_ids.shape[1] or 0) > config.max_length:
                raise ValueError(
                    f"texts may have up to {config.max_length} tokens, got {token_ids.shape[1]}"
                )
            real = tf.not_equal(token_ids, config.pad_token_id)
            mask = tf.where(real, 0.0, MASKED)[:, None, None, :]
            positions = tf.cumsum(tf.cast(real, tf.int32), axis=1) - 1
        else:
            if positions is None:
                raise ValueError("packed rows need positions with segment_ids")
            real = segment_ids > 0
            same = tf.equal(segment_ids[:, :, None], segment_ids[:, None, :])
            mask = tf.where(same, 0.0, MASKED)[:, None, :, :]
        if not training:
            seed = None
        elif seed is None:
            seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        position_ids = tf.where(real, positions + POSITION_OFFSET, 0)
        hidden = tf.gather(self.word_embeddings, token_ids)
        hidden += tf.gather(self.position_embeddings, position_ids)
        whole = whole_step.compiled_as_a_whole()
        if not whole:
            # One matrix of all tokens: a dense layer on it is a plain matrix product, which
            # runtimes fuse with the bias and the activation.
            hidden = tf.reshape(hidden, [-1, config.hidden_size])
        hidden = self.embeddings_norm(hidden)
        rate = config.hidden_dropout_prob
        own_seed = None if self.frozen_layers else site_seed(rate, seed, 0)
        if own_seed is not None:
            hidden = compiled.dropout(hidden, own_seed, rate)
        shape = [
            static or dynamic
            for static, dynamic in zip(
                token_ids.shape, tf.unstack(tf.shape(token_ids)), strict=True
            )
        ]
        bias = self.relative_bias(shape[1])
        if not whole:
            bias, mask = bias + mask, None
        for index, layer in enumerate(self.layers):
            site = 1 + index * layer.NUM_SITES
            layer_seed = None if index < self.frozen_layers else seed
            hidden = self._apply(layer, hidden, bias, mask, shape[0], layer_seed, site)
        return tf.reshape(hidden, [*shape, config.hidden_size])

    def _apply(self, layer: EncoderLayer, hidden, bias, mask, rows, seed, site: int):
        def apply(hidden, bias):
            return layer(hidden, bias=bias, token_mask=mask, rows=rows, seed=seed, site=site)

        return (tf.recompute_grad(apply) if self.recompute else apply)(hidden, bias)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "config": self.config.to_dict(),
            "recompute": self.recompute,
            "frozen_layers": self.frozen_layers,
        }
