"""Embeddings of fewer dimensions, for all APIs that offer them."""

import numpy as np
from numpy.typing import NDArray

from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import invalid


def check_dimensions(name: str, wanted: int | None, version: ModelVersion) -> list[str]:
    """Checks the wanted number of dimensions.

    Args:
        name: The field of the request.
        wanted: Its value; None for all dimensions.
        version: The model.

    Returns:
        Warnings: the model was not trained for this number.

    Raises:
        ServingError: The model has fewer dimensions.
    """
    full, trained = version.manifest.dimension, version.manifest.trained_dimensions
    if wanted is None or wanted == full:
        return []
    if not 1 <= wanted <= full:
        raise invalid(f"{name} must be a whole number from 1 to {full}")
    if wanted in trained:
        return []
    choice = ", ".join(map(str, sorted({*trained, full})))
    return [
        f"the model was not trained for {wanted} dimensions, so embeddings may be much worse; "
        f"trained: {choice}"
    ]


def first_dimensions(embeddings: NDArray[np.float32], wanted: int | None) -> NDArray[np.float32]:
    """Returns the first dimensions of float32 [n, d], scaled to unit length."""
    if wanted is None or wanted >= embeddings.shape[1]:
        return embeddings
    first = np.ascontiguousarray(embeddings[:, :wanted])
    lengths = np.linalg.norm(first, axis=1, keepdims=True)
    return np.asarray(first / np.maximum(lengths, 1e-12))
