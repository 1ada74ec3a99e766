"""Writes one step's loss and gradients in every arrangement to an .npz file.

Logical devices must exist before TensorFlow starts, so this runs in another process:
`python equal_gradients.py OUTPUT.npz`.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.data.layout import PackedLayout, PaddedLayout
from rejoinder.trainer.data.records import Pairs, Ragged
from rejoinder.trainer.data.sampler import Batch
from rejoinder.trainer.data.testing import VOCABULARY, make_pair
from rejoinder.trainer.distribution.collectives import sum_over_replicas
from rejoinder.trainer.gradients import gradients
from rejoinder.trainer.loss import contrastive_loss

PAIRS, WIDTH, SEGMENTS = 16, 24, 6
OPTIONS = LossOptions(
    log_q=True,
    margin=0.05,
    matryoshka_dims=[8, 16],
    hard_negatives=1,
    guide=True,
    mask_threads=True,
)


def batch() -> Batch:
    """Returns pairs with a negative each, some of which repeat a text of another pair."""
    rng = np.random.default_rng(0)
    pairs = [make_pair(number, rng, (3, 12)) for number in range(PAIRS)]
    pairs[5] = (pairs[3][0], pairs[5][1])  # the same context twice
    pairs[9] = (pairs[9][0], pairs[2][1])  # the same response twice
    pairs[12] = (pairs[7][1], pairs[12][1])  # a response that is a context elsewhere
    sides = [
        Ragged(
            np.concatenate([np.asarray(pair[side], np.int32) for pair in pairs]),
            np.concatenate([[0], np.cumsum([len(pair[side]) for pair in pairs])]),
        )
        for side in (0, 1)
    ]
    frequency = rng.uniform(0, 1, [2, PAIRS]).astype(np.float32)
    extra: dict[str, np.ndarray] = {
        "context_log_q": frequency[0],
        "response_log_q": frequency[1],
        "guide_context": rng.integers(-99, 99, [PAIRS, 4], np.int8),
        "guide_response": rng.integers(-99, 99, [PAIRS, 4], np.int8),
        # Pairs 0, 4, 8 and 12 are of one thread, and so on; the pairs of thread 0 have none.
        "thread_key": np.repeat(np.arange(PAIRS, dtype=np.int32)[:, np.newaxis] % 4, 2, 1),
    }
    # Each pair's negative is the response of another; pair 4 has none.
    context, response = sides
    negatives = Ragged.concatenate(
        [
            response.take(np.array([1, 2, 3, 0])),
            Ragged(np.empty(0, np.int32), np.zeros(2, np.int64)),
            response.take(np.arange(PAIRS - 5)),
        ]
    )
    return Batch(Pairs(context, response, extra, (negatives,)), np.zeros(PAIRS, np.int32))


def compute(replicas: int, packed: bool, chunks: int) -> dict[str, np.ndarray]:
    """Returns the loss of the batch and the summed gradient of every variable."""
    # TensorFlow numbers the groups of collectives per process, so only the largest
    # strategy may use them.
    strategy = tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(replicas)],
        cross_device_ops=None if replicas == 8 else tf.distribute.ReductionToOneDevice(),
    )
    if packed:
        layout = PackedLayout(replicas, WIDTH, [72 // replicas], SEGMENTS, 1)
    else:
        layout = PaddedLayout(replicas, [WIDTH], 1)
    features = layout.arrange(batch()).replicas
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        encoder = SentenceEncoder(
            MPNetConfig(
                vocab_size=VOCABULARY,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=64,
                initializer_range=0.2,
            )
        )
        log_scale = tf.Variable(np.log(20.0), dtype=tf.float32)

    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: {
            name: tf.constant(value)
            for name, value in features[context.replica_id_in_sync_group].items()
        }
    )

    @tf.function(autograph=False)
    def step(inputs):
        def replica(features):
            variables = [*encoder.trainable_variables, log_scale]
            grads, result = gradients(
                encoder,
                features,
                lambda c, r, *n: contrastive_loss(c, r, tf.exp(log_scale), features, OPTIONS, n),
                variables,
                max_segments=SEGMENTS,
                chunks=chunks,
            )
            return sum_over_replicas([result.loss, *grads])

        return strategy.run(replica, args=(inputs,))

    values = [strategy.experimental_local_results(value)[0].numpy() for value in step(inputs)]
    names = ["loss", *(v.name for v in encoder.trainable_variables), "log_scale"]
    return dict(zip(names, values, strict=True))


def main() -> None:
    """Writes every arrangement's result under the key `replicas/packed/chunks/name`."""
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 8
    )
    results = {}
    for replicas, packed, chunks in [
        (1, True, 1),
        (1, False, 1),
        (1, True, 4),
        (1, False, 2),
        (2, True, 1),
        (2, False, 2),
        (8, True, 1),
    ]:
        for name, value in compute(replicas, packed, chunks).items():
            results[f"{replicas}/{packed}/{chunks}/{name}"] = value
    np.savez(sys.argv[1], **results)


if __name__ == "__main__":
    main()
