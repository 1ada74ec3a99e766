"""The columns that hard negatives add to the logits of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tensorflow as tf

from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.distribution.collectives import gather_rows
from rejoinder.trainer.loss_ops import MASKED, equal_keys, prefix


@dataclass(frozen=True)
class HardNegatives:
    """Hard negatives, as columns for the contexts of one replica.

    Attributes:
        columns: Unit vectors: float32 [N * m, d] of the whole batch, or [n, m, d] of each
            context's own pair.
        mask: Added to the logits, float32 [n, N * m] or [n, m]; removes what is missing, and
            texts of the row's own pair.
    """

    columns: tf.Tensor
    mask: tf.Tensor

    @classmethod
    def of(
        cls, negatives: Sequence[tf.Tensor], features: dict[str, tf.Tensor], options: LossOptions
    ) -> "HardNegatives":
        """Returns the columns of one replica.

        Args:
            negatives: m times float32 [n, d], unit vectors.
            features: `context_key` and `response_key`, int32 [n, 2], and `negative_key`, int32
                [n, m, 2], which is 0 where a pair has fewer negatives.
            options: The loss.
        """
        columns, keys = tf.stack(negatives, 1), features["negative_key"]
        if options.gather_negatives:
            columns = _rows_of_all(columns)
            keys = _rows_of_all(keys)[tf.newaxis]
        unwanted = equal_keys(keys, 0)
        if options.mask_duplicates:
            for side in ("context_key", "response_key"):
                unwanted |= equal_keys(keys, features[side][:, tf.newaxis])
        return cls(columns, tf.where(unwanted, MASKED, 0.0))

    def prefix(self, dim: int) -> "HardNegatives":
        """Returns the columns cut to `dim` components."""
        return replace(self, columns=prefix(self.columns, dim))

    def logits(self, rows: tf.Tensor, scale: tf.Tensor | float) -> tf.Tensor:
        """Returns the logits of n rows, float32 [n, d]; their shape is that of `mask`."""
        if len(self.columns.shape) == 2:
            similarities = tf.matmul(rows, self.columns, transpose_b=True)
        else:
            similarities = tf.einsum("nd,nmd->nm", rows, self.columns)
        return scale * similarities + self.mask


def _rows_of_all(values: tf.Tensor) -> tf.Tensor:
    """Returns [n, m, k] of all replicas as [N * m, k]."""
    _, columns, width = values.shape
    gathered = gather_rows(tf.reshape(values, [-1, columns * width]))
    return tf.reshape(gathered, [-1, width])
