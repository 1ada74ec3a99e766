"""What a version computes with: a tokenizer and an engine.

The engines, TensorFlow and OpenVINO, run behind the same batcher, limits and packing.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.serving.engine.packing import pack_rows


class Tokenize(Protocol):
    """Tokenizes texts."""

    def __call__(self, texts: Sequence[bytes]) -> tuple[list[NDArray[np.int32]], NDArray[np.bool_]]:
        """Returns the ids of n ≥ 1 texts in UTF-8, and bool [n]: whether each was truncated."""


class Engine(Protocol):
    """Embeds packed rows."""

    def __call__(
        self,
        token_ids: NDArray[np.int32],
        segment_ids: NDArray[np.int32],
        positions: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Returns float32 [b, k, d] of int32 [b, s], as `ServingModule.encode_packed`."""


class Parts(NamedTuple):
    """The loaded parts of a version.

    Attributes:
        tokenize: Its tokenizer.
        engine: Its engine.
        precision: In which the engine computes.
        cosine: Least cosine of its embeddings of `reference.TEXTS` to those in float32.
    """

    tokenize: Tokenize
    engine: Engine
    precision: str
    cosine: float


def encode_rows(
    engine: Engine, rows: Sequence[NDArray[np.int32]], manifest: ExportManifest
) -> tuple[NDArray[np.float32], int]:
    """Embeds rows of token ids, packed side by side.

    Args:
        engine: The engine.
        rows: n ≥ 1 int32 arrays of at most `manifest.max_length` ids.
        manifest: The version's manifest.

    Returns:
        float32 [n, d], zeros for a row without tokens, and the number of computed
        tokens, padding included.
    """
    packed = pack_rows(rows, pad_id=manifest.pad_id, longest=manifest.max_length)
    embeddings = np.zeros([len(rows), manifest.dimension], np.float32)
    if packed.token_ids.size:
        found = engine(*packed[:3])
        row, number = packed.slots[:, 0], packed.slots[:, 1]
        inside = (row >= 0) & (number < found.shape[1])
        embeddings[inside] = found[row[inside], number[inside]]
    return embeddings, packed.token_ids.size


def least_cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Returns the least cosine of rows of two arrays, both float32 [n, d]."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(np.min((found * expected).sum(axis=1) / norms))
