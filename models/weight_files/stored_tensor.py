"""A tensor in a file, described before its data is read."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Weights of another type, such as int8, are quantized: their numbers are not the weights.
FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor of a checkpoint.

    Attributes:
        file: The file that holds it.
        shape: Its shape.
        dtype: Name of its type, as NumPy writes it.
        read: Reads its data.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
