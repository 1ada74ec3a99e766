"""The loss of a pair whose context has earlier turns: ConveRT's multi-context model.

https://arxiv.org/abs/1911.03688, section 2.2: the response is scored against the last turn,
against the earlier turns as one text, and against the mean of both; the loss is the mean of
the three. One encoder embeds all texts, so a model trained this way takes contexts with and
without earlier turns.
"""

from collections.abc import Sequence

import tensorflow as tf

from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.encoding import negatives_of
from rejoinder.trainer.loss import LossResult, contrastive_loss


def pair_loss(
    columns: Sequence[tf.Tensor],
    scale: tf.Tensor | float,
    features: dict[str, tf.Tensor],
    options: LossOptions,
) -> LossResult:
    """Returns this replica's part of the loss of the whole batch.

    Args:
        columns: Unit vectors, float32 [n, d] each: contexts, responses, columns of negatives,
            and earlier turns if `features` has their `earlier_key`.
        scale: Factor on the cosine similarities.
        features: Those of `contrastive_loss`; with earlier turns also `earlier_key` int32 [n, 2]
            and, for the option `log_q`, `earlier_log_q` float32 [n].
        options: The loss.
    """
    context, response, *further = columns
    count = negatives_of(features)
    negatives, earlier = further[:count], further[count:]
    if not earlier:
        return contrastive_loss(context, response, scale, features, options, negatives)
    of_earlier = features | {"context_key": features["earlier_key"]}
    if "earlier_log_q" in features:
        of_earlier["context_log_q"] = features["earlier_log_q"]
    last = contrastive_loss(context, response, scale, features, options, negatives)
    before = contrastive_loss(earlier[0], response, scale, of_earlier, options, negatives)
    both = tf.math.l2_normalize(context + earlier[0], -1)
    together = contrastive_loss(both, response, scale, features, options, negatives)
    parts = (last, before, together)
    return LossResult(
        tf.add_n([part.loss for part in parts]) / len(parts),
        tf.add_n([part.per_pair for part in parts]) / len(parts),
        together.correct,
    )
