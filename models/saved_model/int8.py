"""Adds the OpenVINO model to an export, in float32 or with int8 weights that were checked.

int8 is refused where it costs accuracy: the pairs of a corpus are ranked with the float32
model and with the int8 model, and both results are written into the manifest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.saved_model import openvino_fusions, openvino_model
from rejoinder.models.saved_model.openvino_model import OpenVinoEncoder

CALIBRATION_TEXTS = 300
# Twenty batches of 100: the difference of two models has a standard error of about 0.5 points.
PAIRS = 2000
_BATCH_TOKENS = 1024
_TOLERANCE = 1e-5

Rows = Sequence[NDArray[np.int32]]


@dataclass(frozen=True)
class Int8:
    """How the model is quantized and checked.

    Attributes:
        contexts: Texts of n pairs. The first `CALIBRATION_TEXTS` set the ranges of activations,
            the others measure the accuracy.
        responses: The responses, in the same order.
        accuracy: 1-of-100 accuracy, in [0, 1], of embeddings of contexts and responses.
        max_loss: Points of accuracy, of 100, that int8 may cost.
    """

    contexts: Sequence[str]
    responses: Sequence[str]
    accuracy: Callable[[NDArray[np.float32], NDArray[np.float32]], float]
    max_loss: float


def add_openvino(
    folder: Path,
    encode_packed: Any,
    tokenize: Callable[[Sequence[str]], Rows],
    *,
    probes: Sequence[str],
    expected: NDArray[np.float32],
    int8: Int8 | None,
) -> dict[str, Any]:
    """Writes the OpenVINO model.

    Args:
        folder: The export's folder.
        encode_packed: Concrete function of `ServingModule.encode_packed`.
        tokenize: Returns the token ids of texts, int32 rows.
        probes: Texts.
        expected: float32 [probes, d], the encoder's embeddings of them.
        int8: How to quantize, or None.

    Returns:
        The description for the manifest, `ExportManifest.openvino`.

    Raises:
        UserError: OpenVINO is not installed, its model differs from the encoder, or int8
            costs more accuracy than it may.
    """
    model = openvino_model.convert(encode_packed)
    openvino_fusions.fuse(model)
    encoder = OpenVinoEncoder(model, bfloat16=False)
    difference = float(np.max(np.abs(embed(encoder, tokenize(probes)) - expected)))
    if not difference <= _TOLERANCE:
        raise UserError(
            f"{folder.parent}: the OpenVINO model differs from the encoder by {difference:.2e}, "
            f"more than {_TOLERANCE:.0e}; nothing was published; report this as a bug"
        )
    description: dict[str, Any] = {"precision": "float32"}
    if int8 is not None:
        model, description = _quantize(folder, model, encoder, tokenize, int8)
    openvino_model.save(model, folder)
    return description


def embed(encoder: OpenVinoEncoder, rows: Rows) -> NDArray[np.float32]:
    """Embeds rows of token ids, in batches of similar lengths; returns float32 [n, d]."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    parts = []
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= _BATCH_TOKENS:
            end += 1
        batch = [rows[i] for i in order[start:end]]
        parts.append(encoder(*openvino_model.one_text_a_row(batch, pad_id=0))[:, 0].copy())
        start = end
    embeddings = np.concatenate(parts)
    result = np.empty_like(embeddings)
    result[order] = embeddings
    return result


def _quantize(
    folder: Path,
    model: Any,
    encoder: OpenVinoEncoder,
    tokenize: Callable[[Sequence[str]], Rows],
    int8: Int8,
) -> tuple[Any, dict[str, Any]]:
    """Returns the int8 model and its description, if it is accurate enough."""
    contexts, responses = tokenize(int8.contexts), tokenize(int8.responses)
    quantized = openvino_model.quantize(model, contexts[:CALIBRATION_TEXTS])
    held_out = slice(CALIBRATION_TEXTS, None)
    # In float32 what is not int8, so that the difference is that of int8 alone.
    accuracy = {
        name: int8.accuracy(embed(each, contexts[held_out]), embed(each, responses[held_out]))
        for name, each in (
            ("float32", encoder),
            ("int8", OpenVinoEncoder(quantized, bfloat16=False)),
        )
    }
    loss = 100 * (accuracy["float32"] - accuracy["int8"])
    if not loss <= int8.max_loss:
        raise UserError(
            f"{folder.parent}: int8 lowers the 1-of-100 accuracy from "
            f"{accuracy['float32']:.1%} to {accuracy['int8']:.1%}, more than the "
            f"{int8.max_loss:g} points of --int8-max-loss; no SavedModel was published; "
            "export with --openvino alone"
        )
    description = {
        "precision": "int8",
        "one_of_100": {name: round(value, 4) for name, value in accuracy.items()},
        "pairs": len(contexts[held_out]) // 100 * 100,
        "calibration_texts": CALIBRATION_TEXTS,
    }
    return quantized, description
