"""int8 and binary forms of embeddings, with the bytes of sentence-transformers and Cohere.

All forms are functions of one vector: no range is learned from other vectors, so a text has
the same bytes in every request, shard and index. The same scale for all dimensions keeps
inner products and cosines of int8 vectors in the order of the float vectors' ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The names that Cohere's `embedding_types` and Voyage's `output_dtype` use.
QUANTIZED = ("int8", "uint8", "binary", "ubinary")
# Numbers of unit vectors in d dimensions have a deviation of 1/√d. The largest of
# all-mpnet-base-v2's is 5.2 deviations; larger ones are clipped.
_DEVIATIONS = 6.0


def quantize(embeddings: NDArray[np.floating], dtype: str) -> NDArray[Any]:
    """Quantizes unit vectors.

    Args:
        embeddings: float [n, d] or [d], of unit length.
        dtype: One of `QUANTIZED`.

    Returns:
        `int8`: int8 [n, d], the numbers divided by `int8_step(d)` and rounded to -128…127.
        `uint8`: uint8 [n, d], the same plus 128.
        `ubinary`: uint8 [n, ⌈d/8⌉], one bit for each number, 1 if it is positive; the first
        number is the highest bit of the first byte, and zeros fill the last byte.
        `binary`: int8 [n, ⌈d/8⌉], the same bytes minus 128.

    Raises:
        ValueError: The dtype is none of these.
    """
    if dtype == "ubinary":
        return np.packbits(embeddings > 0, axis=-1)
    if dtype == "binary":
        return _shifted(np.packbits(embeddings > 0, axis=-1))
    if dtype == "uint8":
        return _levels(embeddings)
    if dtype == "int8":
        return _shifted(_levels(embeddings))
    raise ValueError(f"dtype must be one of {', '.join(QUANTIZED)}, got {dtype!r}")


def int8_step(dimension: int) -> np.float32:
    """Returns the difference between neighbouring int8 values of unit vectors."""
    return np.float32(min(1.0, _DEVIATIONS / np.sqrt(dimension)) / 127)


def _levels(embeddings: NDArray[np.floating]) -> NDArray[np.uint8]:
    steps = np.floor(embeddings / int8_step(embeddings.shape[-1]) + np.float32(0.5))
    return (np.clip(steps, -128, 127) + 128).astype(np.uint8)


def _shifted(values: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Returns uint8 values minus 128: the same bits but for the highest one."""
    return (values ^ 0x80).view(np.int8)
