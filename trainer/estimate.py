"""`--dry-run`: what a run would be, and what it would cost, without running it."""

import math
import time

import yaml

from rejoinder.trainer.config import DualEncoderExperiment
from rejoinder.trainer.progress import duration, table

_MATRIX = 1024  # rows of the matrices that measure the machine
_BYTES = 4
# Beside the weights: gradients and Adam's two moments.
_COPIES = 3
# Share of the peak matrix rate that a training step of a small transformer reaches;
# for the time estimate only.
_SHARE_OF_PEAK = 0.3


def describe(config: DualEncoderExperiment, devices: int = 0) -> str:
    """Returns the resolved configuration and the estimates, ready to print.

    Raises:
        UserError: the run could not start.
    """
    import tensorflow as tf

    from rejoinder.models.sentence_encoder import SentenceEncoder
    from rejoinder.trainer import initialization
    from rejoinder.trainer.data.corpora import open_corpora
    from rejoinder.trainer.data.inputs import Shares, TrainInput

    corpora = open_corpora(config.task.train_data, "task.train_data")
    base = initialization.find_base(config.task.model, corpora)
    initialization.check_tokenizer(base, corpora)
    replicas = max(devices, config.runtime.num_gpus, 1)
    data = TrainInput(config.task, corpora, Shares(replicas=replicas))
    arranged = data(0)
    rows, width = arranged.replicas[0]["token_ids"].shape
    encoder = SentenceEncoder(base.config, frozen_layers=config.task.model.frozen_layers)
    frozen = config.task.model.frozen_layers
    trained = sum(math.prod(variable.shape) for variable in encoder.trainable_variables)
    parameters = encoder.count_params() - encoder.mpnet.pooler.count_params()
    table_size = math.prod(encoder.mpnet.word_embeddings.shape)
    flops = step_flops(
        parameters - table_size,
        rows * replicas * width,
        width,
        base.config.hidden_size,
        base.config.num_hidden_layers,
        frozen,
    )
    rate = matrix_rate()
    seconds = config.trainer.train_steps * flops / (rate * _SHARE_OF_PEAK)
    batch = config.task.train_data.global_batch_size
    memory = _BYTES * (parameters + _COPIES * trained) + activation_bytes(
        rows // config.task.grad_cache_chunks, width, base.config, frozen
    )
    lines = [
        ("pairs", f"{data.examples:,} in {len(corpora)} data sets"),
        ("draw weights", ", ".join(map(str, data.weights))),
        (
            "batch",
            f"{batch} pairs, {arranged.tokens:,} tokens, "
            f"{arranged.tokens / arranged.capacity:.1%} real",
        ),
        ("rows", f"{rows} of {width} tokens on each of {replicas} replicas"),
        ("steps per epoch", f"{data.examples / batch:,.1f}"),
        ("epochs", f"{config.trainer.train_steps * batch / data.examples:.2f}"),
        ("parameters", f"{parameters:,} ({table_size:,} in the word embeddings)"),
        ("trained", f"{trained:,}"),
        ("memory, about", f"{memory / 2**30:.2f} GiB on each replica"),
        ("work of a step", f"{flops / 1e9:,.1f} GFLOP"),
        (
            "matrix rate here",
            f"{rate / 1e9:,.0f} GFLOP/s ({tf.config.list_physical_devices()[-1].device_type})",
        ),
        ("time, about", f"{duration(seconds)} on this machine"),
    ]
    resolved = yaml.safe_dump(config.as_dict(), sort_keys=True)
    return f"{resolved}\n{table(lines, 'dry run: nothing was written')}"


def step_flops(
    weights: int, tokens: int, row: int, hidden: int, layers: int, frozen_layers: int = 0
) -> float:
    """Returns the floating point operations of one training step.

    Forward 2 per weight and token, and 4 * row * hidden per layer and token for
    attention scores and values; backward twice the forward (Kaplan et al. 2020,
    https://arxiv.org/abs/2001.08361, section 2.1), but not through frozen layers.
    """
    passes = 1.0 + 2.0 * (layers - frozen_layers) / layers
    return passes * tokens * (2.0 * weights + 4.0 * row * hidden * layers)


def activation_bytes(rows: int, width: int, config, frozen_layers: int = 0) -> float:
    """Returns about what the activations kept for the backward pass take, in bytes.

    Per token and layer some 16 tensors of the hidden size and 4 of the inner
    size, and 3 score matrices a head (Korthikanti et al. 2022,
    https://arxiv.org/abs/2205.05198, section 4, rounded to whole tensors).
    """
    per_token = 16 * config.hidden_size + 4 * config.intermediate_size
    per_token += 3 * config.num_attention_heads * width
    layers = config.num_hidden_layers - frozen_layers
    return float(_BYTES * rows * width * layers * per_token)


def matrix_rate() -> float:
    """Returns the float32 matrix product rate of this machine's first device, in FLOP/s."""
    import tensorflow as tf

    a = tf.random.normal([_MATRIX, _MATRIX])
    tf.matmul(a, a).numpy()
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = min(best, time.perf_counter() - began)
    return 2.0 * _MATRIX**3 / best
