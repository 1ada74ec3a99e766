"""One transformer layer with normalization after each residual sum, as in BERT and MPNet."""

import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import compiled, whole_step
from rejoinder.models.mpnet.attention import SelfAttention
from rejoinder.models.mpnet.config import MPNetConfig
from rejoinder.models.mpnet.layers import LayerNorm, dense, gelu, site_seed, without_bias


@tf_keras.saving.register_keras_serializable("rejoinder")
class EncoderLayer(tf_keras.layers.Layer):
    """Attention and feed-forward, each with dropout, residual sum and norm.

    Args:
        config: The model's hyperparameters, or their dictionary.
    """

    # Dropout sites in a layer; the sites of successive layers are this far apart.
    NUM_SITES = 3

    def __init__(self, config: MPNetConfig | dict, **kwargs):
        # The residual stream is float32: bfloat16 rounding errors of each sum would add up.
        super().__init__(**(kwargs | {"autocast": False}))
        self.config = config if isinstance(config, MPNetConfig) else MPNetConfig(**config)
        config, dtype = self.config, self._dtype_policy
        with tf.name_scope(self.name):
            self.attention = SelfAttention(
                config.hidden_size,
                config.num_attention_heads,
                config.attention_probs_dropout_prob,
                config.initializer_range,
                dtype=dtype,
            )
            self.attention_norm = LayerNorm(
                config.hidden_size, config.layer_norm_eps, "attention_layer_norm"
            )
            self.intermediate = dense(
                config.hidden_size,
                config.intermediate_size,
                "intermediate",
                config.initializer_range,
                dtype,
            )
            self.output_dense = dense(
                config.intermediate_size,
                config.hidden_size,
                "output",
                config.initializer_range,
                dtype,
            )
            self.output_norm = LayerNorm(
                config.hidden_size, config.layer_norm_eps, "output_layer_norm"
            )
        self.built = True

    def call(self, inputs, bias, rows, token_mask=None, seed=None, site=0):
        """Transforms float32 [b * s, hidden], or [b, s, hidden]; arguments as `SelfAttention`."""
        attended = self.attention(
            inputs, bias=bias, rows=rows, token_mask=token_mask, seed=seed, site=site
        )
        hidden = self._add_and_norm(attended, inputs, self.attention_norm, seed, site + 1)
        whole = token_mask is not None
        dropped = seed is not None and self.config.hidden_dropout_prob > 0
        if dropped and not whole:
            inner = compiled.gelu(without_bias(self.intermediate, hidden), self.intermediate.bias)
        else:
            dense_layer = self.intermediate
            inner = whole_step.dense(dense_layer, hidden) if whole else dense_layer(hidden)
            inner = compiled.gelu(inner) if dropped else gelu(inner)
        output = whole_step.dense(self.output_dense, inner) if whole else self.output_dense(inner)
        return self._add_and_norm(output, hidden, self.output_norm, seed, site + 2)

    def _add_and_norm(self, inputs, residual, norm: LayerNorm, seed, site: int):
        rate = self.config.hidden_dropout_prob
        own_seed = site_seed(rate, seed, site)
        if own_seed is None:
            return norm(tf.cast(inputs, tf.float32) + residual)
        return compiled.dropout_sum_norm(
            inputs, residual, norm.gamma, norm.beta, own_seed, rate, norm.epsilon
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"config": self.config.to_dict()}
