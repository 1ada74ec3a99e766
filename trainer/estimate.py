"""`--dry-run`: the resolved configuration, sizes and cost of a run that is not executed."""

import math
import time
from typing import Any

import tensorflow as tf

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.tables import list_table
from rejoinder.trainer.data.inputs import Shares, TrainInput
from rejoinder.trainer.distribution.strategy import choose
from rejoinder.trainer.model_folder import to_yaml
from rejoinder.trainer.run import Run
from rejoinder.trainer.warnings import find_warnings
from rejoinder.units import format_duration

_MATRIX = 1024  # rows of the matrices whose product measures the machine
_BYTES = 4
# Float32 values for each trained weight: its gradient and Adam's two moments.
_COPIES = 3
# Share of the peak matrix rate that a training step of a small transformer reaches;
# for the time estimate only.
_SHARE_OF_PEAK = 0.3


def describe(run: Run, devices: int = 0) -> str:
    """Returns the resolved configuration and the estimates, ready to print.

    Args:
        run: The run; its strategy is not used.
        devices: Logical CPU devices of the strategy `mirrored`.

    Raises:
        UserError: The run cannot start.
    """
    config, base = run.config, run.base.config
    model, batch = config.task.model, config.task.train_data.global_batch_size
    gpus = config.runtime.num_gpus
    if config.runtime.distribution_strategy == "auto":
        _, gpus = choose(gpus, len(tf.config.get_visible_devices("GPU")))
    replicas = max(devices, gpus, 1)
    data = TrainInput(config.task, run.train_corpora, Shares(replicas=replicas))
    first = data(0)
    rows, width = first.replicas[0]["token_ids"].shape
    encoder = SentenceEncoder(base, frozen_layers=model.frozen_layers)
    trained = sum(math.prod(variable.shape) for variable in encoder.trainable_variables)
    parameters = encoder.count_params() - encoder.mpnet.pooler.count_params()
    table_size = math.prod(encoder.mpnet.word_embeddings.shape)
    flops = step_flops(
        parameters - table_size,
        rows * replicas * width,
        width,
        base.hidden_size,
        base.num_hidden_layers,
        frozen_layers=model.frozen_layers,
        recompute=model.recompute,
    )
    rate = matrix_rate()
    seconds = config.trainer.train_steps * flops / (rate * _SHARE_OF_PEAK)
    memory = _BYTES * (parameters + _COPIES * trained) + activation_bytes(
        rows // config.task.grad_cache_chunks,
        width,
        base,
        frozen_layers=model.frozen_layers,
        recompute=model.recompute,
    )
    device = tf.config.list_physical_devices()[-1].device_type
    tokens = f"{first.tokens:,} tokens, {first.tokens / first.capacity:.1%} real"
    lines: list[tuple[str, Any]] = [
        ("pairs", f"{data.examples:,} in {len(run.train_corpora)} data sets"),
        ("draw weights", ", ".join(map(str, data.weights))),
        ("batch", f"{batch} pairs, {tokens}"),
        ("rows", f"{rows} of {width} tokens on each of {replicas} replicas"),
        ("steps per epoch", f"{data.examples / batch:,.1f}"),
        ("epochs", f"{config.trainer.train_steps * batch / data.examples:.2f}"),
        ("parameters", f"{parameters:,} ({table_size:,} in the word embeddings)"),
        ("trained", f"{trained:,}"),
        ("memory, about", f"{memory / 2**30:.2f} GiB on each replica"),
        ("work of a step", f"{flops / 1e9:,.1f} GFLOP"),
        ("matrix rate here", f"{rate / 1e9:,.0f} GFLOP/s ({device})"),
        ("time, about", f"{format_duration(seconds)} on this machine"),
        ("next", "the same command without --dry-run"),
    ]
    warnings = "".join(f"warning: {warning}\n" for warning in find_warnings(run))
    return f"{to_yaml(config)}\n{warnings}{list_table(lines, 'dry run: nothing was written')}"


def step_flops(
    weights: int,
    tokens: int,
    row: int,
    hidden: int,
    layers: int,
    *,
    frozen_layers: int = 0,
    recompute: bool = False,
) -> float:
    """Returns the floating point operations of one training step.

    Forward 2 per weight and token, and 4 * row * hidden per layer and token for
    attention scores and values; backward twice the forward (Kaplan et al. 2020,
    https://arxiv.org/abs/2001.08361, section 2.1), but not through frozen layers.
    Recomputed activations add one forward pass through the trained layers.
    """
    passes = 1.0 + (2.0 + recompute) * (layers - frozen_layers) / layers
    return passes * tokens * (2.0 * weights + 4.0 * row * hidden * layers)


def activation_bytes(
    rows: int, width: int, config: MPNetConfig, *, frozen_layers: int = 0, recompute: bool = False
) -> float:
    """Returns the approximate bytes of the activations kept for the backward pass.

    Per token and layer about 16 tensors of the hidden size and 4 of the inner
    size, and 3 score matrices per head (Korthikanti et al. 2022,
    https://arxiv.org/abs/2205.05198, section 4, rounded to whole tensors). With
    recomputation, one layer's activations and the input of each other trained layer.
    """
    layers = config.num_hidden_layers - frozen_layers
    per_layer = 16 * config.hidden_size + 4 * config.intermediate_size
    per_layer += 3 * config.num_attention_heads * width
    per_token = layers * per_layer
    if recompute:
        per_token = per_layer + (layers - 1) * config.hidden_size
    return float(_BYTES * rows * width * per_token)


def matrix_rate() -> float:
    """Returns the float32 matrix product rate of this machine's first device, in FLOP/s."""
    a = tf.random.normal([_MATRIX, _MATRIX])
    tf.matmul(a, a).numpy()
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = min(best, time.perf_counter() - began)
    return 2.0 * _MATRIX**3 / best
