"""The dual encoder: one tower embeds contexts and responses alike."""

import tensorflow as tf
import tf_keras

from rejoinder.models.packing import gather_segments
from rejoinder.models.sentence_encoder import SentenceEncoder


@tf_keras.saving.register_keras_serializable("rejoinder")
class DualEncoder(tf_keras.Model):
    """Embeds (context, response) pairs with one shared tower.

    Args:
      encoder: the tower.
    """

    def __init__(self, encoder: SentenceEncoder, **kwargs):
        super().__init__(**({"name": "dual_encoder"} | kwargs))
        self.encoder = encoder
        self.built = True

    def call(self, inputs, training=None, max_segments=None, seed=None):
        """Embeds n pairs.

        Args:
          inputs: either `{"context": …, "response": …}`, each the plain input of
            `SentenceEncoder`; or packed rows of 2n texts, contexts first, with
            `token_ids`, `segment_ids`, `positions` int32 [rows, length] and
            `slots` int32 [2n, 2].
          training: whether dropout applies.
          max_segments: texts in a packed row at most; needed for packed rows.
          seed: int32 [2] that decides the dropout masks; drawn when None.

        Returns:
          Context and response embeddings, float32 [n, d] each.
        """
        if "slots" in inputs:
            rows = {name: inputs[name] for name in ("token_ids", "segment_ids", "positions")}
            embedded = self.encoder(rows, training=training, max_segments=max_segments, seed=seed)
            texts = gather_segments(embedded, inputs["slots"])
            contexts, responses = tf.split(texts, 2)
            return contexts, responses
        if training and seed is None:
            seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        towers = []
        for side, name in enumerate(("context", "response")):
            side_seed = tf.random.experimental.stateless_fold_in(seed, side) if training else None
            towers.append(self.encoder(inputs[name], training=training, seed=side_seed))
        return towers[0], towers[1]

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"name": self.name, "encoder": tf_keras.saving.serialize_keras_object(self.encoder)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a dual encoder with fresh weights from `get_config`'s result."""
        encoder = tf_keras.saving.deserialize_keras_object(config["encoder"], custom_objects)
        return cls(encoder, name=config["name"])
