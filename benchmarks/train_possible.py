"""The fastest possible training step on this machine, from measured parts.

The limit of `benchmarks.train` counts only matrix products of real tokens, at the rate of one
large product. No step reaches it: rows have padding, products have the shapes of the model,
activations are read and written between them, and the weights are updated. This module measures
the products one by one as the step makes them, and divides the bytes that everything else must
move by the measured bandwidth of a copy. Arithmetic between the products counts as free, and so
does the loss.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from rejoinder.models.mpnet import MPNetConfig

_Run = Callable[[], tf.Tensor]

_FLOAT32 = 4  # bytes
_ROUNDS = 12


@dataclass(frozen=True)
class PossibleStep:
    """Seconds of the parts of a step.

    Attributes:
        dense: Products with weights, forward and backward.
        attention: Products of attention, forward and backward.
        between: Element-wise work between the products, at `bandwidth`.
        update: Gradient norm, clip and AdamW.
        bandwidth: Bytes per second of a copy, read and written bytes together.
        moved: Bytes that the work between the products moves.
    """

    dense: float
    attention: float
    between: float
    update: float
    bandwidth: float
    moved: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.dense + self.attention + self.between + self.update


def possible_step(
    config: MPNetConfig, rows: int, row_length: int, precision: str, update: float
) -> PossibleStep:
    """Measures the parts of a step with `rows` packed rows of `row_length` tokens.

    Args:
        config: The model's hyperparameters.
        rows: Rows of a batch.
        row_length: Tokens of a row.
        precision: "float32" or "bfloat16", the dtype of the products.
        update: Measured seconds of the update.
    """
    layers = config.num_hidden_layers
    dense = _dense_products(config, rows * row_length, precision)
    attention = _attention_products(config, rows, row_length, precision)
    bandwidth = copy_bandwidth(rows * row_length * config.hidden_size)
    moved = layers * bytes_between_products(config, rows, row_length, tf.as_dtype(precision).size)
    return PossibleStep(
        dense=layers * _fastest(dense),
        attention=layers * _fastest(attention),
        between=moved / bandwidth,
        update=update,
        bandwidth=bandwidth,
        moved=moved,
    )


def bytes_between_products(config: MPNetConfig, rows: int, row_length: int, size: int) -> float:
    """Returns the bytes that one layer's element-wise work must read and write.

    Each block reads its inputs once and writes its outputs once, forward and backward. Masks are
    computed again in the backward pass, and a norm's input from its output.

    Args:
        config: The model's hyperparameters.
        rows: Rows of a batch.
        row_length: Tokens of a row.
        size: Bytes of an element of the products' dtype; the residual stream is float32.
    """
    tokens = rows * row_length
    narrow, wide = tokens * config.hidden_size, tokens * config.intermediate_size
    weights = config.num_attention_heads * rows * row_length**2
    kernels = config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
    cast = size != _FLOAT32
    heads = 2 * (3 + 3) * narrow * size  # bias and split into heads, and back
    merge = 2 * 2 * narrow * size
    softmax = weights * (2 * size + _FLOAT32)  # scores and bias to weights
    softmax += weights * 3 * size  # gradient and weights to gradient of scores
    # Two norms. Forward: branch and residual to output, which the next product reads in its dtype.
    norms = 2 * narrow * (size + 2 * _FLOAT32 + cast * size)
    # Backward: upstream gradients of residual and product, and output, to both inputs.
    norms += 2 * narrow * (3 * _FLOAT32 + 2 * size)
    gelu = (2 + 3) * wide * size
    casts = cast * 2 * kernels * (_FLOAT32 + size)  # weights, and their gradients
    return float(heads + merge + softmax + norms + gelu + casts)


def copy_bandwidth(elements: int) -> float:
    """Returns bytes/s, read and written together, of the fastest pass over float32 elements."""
    values = tf.random.normal([elements])
    return 2 * _FLOAT32 * elements / _fastest([lambda: values + 1.0])


def _dense_products(config: MPNetConfig, tokens: int, precision: str) -> list[_Run]:
    """Returns the products of one layer with weights: the output, and both gradients."""
    hidden, inner = config.hidden_size, config.intermediate_size
    sizes = [(hidden, 3 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]
    products: list[_Run] = []
    for source, target in sizes:
        inputs, kernel = _random([tokens, source], precision), _random([source, target], precision)
        upstream = _random([tokens, target], precision)
        products += [
            _product(inputs, kernel),
            _product(upstream, kernel, transpose_b=True),
            _product(inputs, upstream, transpose_a=True),
        ]
    return products


def _attention_products(
    config: MPNetConfig, rows: int, row_length: int, precision: str
) -> list[_Run]:
    """Returns the products of one layer's attention, forward and backward."""
    heads = config.num_attention_heads
    value = _random([rows, heads, row_length, config.hidden_size // heads], precision)
    weights = _random([rows, heads, row_length, row_length], precision)
    # Scores and the gradient of the weights; contexts and the gradient of the query; the
    # gradients of key and value.
    return 2 * [
        _product(value, value, transpose_b=True),
        _product(weights, value),
        _product(weights, value, transpose_a=True),
    ]


def _random(shape: list[int], precision: str) -> tf.Tensor:
    return tf.cast(tf.random.normal(shape), precision)


def _product(left: tf.Tensor, right: tf.Tensor, **transpose: bool) -> _Run:
    return lambda: tf.matmul(left, right, **transpose)


def _fastest(runs: list[_Run]) -> float:
    """Returns the sum of each run's fastest time, in seconds.

    Cores that are shared with other machines have slow seconds, so that the rounds of one run
    lie apart from each other.
    """
    functions = [tf.function(run, autograph=False).get_concrete_function() for run in runs]
    for function in functions:
        function()
    times: list[list[float]] = []
    for _ in range(_ROUNDS):
        times.append([])
        for function in functions:
            began = time.perf_counter()
            function()
            times[-1].append(time.perf_counter() - began)
    return sum(min(rounds) for rounds in zip(*times, strict=True))
