"""The engines that embed packed rows: TensorFlow, and OpenVINO on CPUs.

Both run behind the same batcher, limits and packing, and tokenize with TensorFlow.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.models.saved_model.openvino_model import OPENVINO_FILE, OpenVinoEncoder
from rejoinder.serving.engine.bfloat16 import to_bfloat16
from rejoinder.serving.engine.packed_function import take_out
from rejoinder.serving.engine_options import EngineOptions


class Engine(Protocol):
    """Embeds packed rows."""

    def __call__(
        self,
        token_ids: NDArray[np.int32],
        segment_ids: NDArray[np.int32],
        positions: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Returns float32 [b, k, d] of int32 [b, s], as `ServingModule.encode_packed`."""


class TensorFlowEngine:
    """Runs a function of the SavedModel."""

    def __init__(self, encode_packed: tf.types.experimental.GenericFunction):
        self._encode = encode_packed

    def __call__(
        self,
        token_ids: NDArray[np.int32],
        segment_ids: NDArray[np.int32],
        positions: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Returns float32 [b, k, d]."""
        embeddings: NDArray[np.float32] = self._encode(
            *map(tf.constant, (token_ids, segment_ids, positions))
        ).numpy()
        return embeddings


def make_engine(
    options: EngineOptions,
    folder: Path,
    manifest: ExportManifest,
    encode_packed: tf.types.experimental.GenericFunction,
) -> tuple[Engine, str]:
    """Returns the engine of a version, and the precision in which it computes.

    Args:
        options: The server's options.
        folder: The version's folder.
        manifest: The version's manifest.
        encode_packed: The function of the loaded SavedModel; with TensorFlow in bfloat16 it
            cannot be called afterwards.

    Raises:
        UserError: The export lacks what the options ask for, or OpenVINO is not installed.
    """
    if options.engine == "openvino":
        path = folder / OPENVINO_FILE
        if not path.is_file():
            raise UserError(
                f"{folder}: has no OpenVINO model for --engine openvino; "
                "export with `rejoinder export --openvino`"
            )
        engine = OpenVinoEncoder(
            str(path),
            bfloat16=options.wants_bfloat16,
            threads=options.threads,
            streams=options.workers,
        )
        rest = "bfloat16" if options.wants_bfloat16 else "float32"
        int8 = manifest.openvino.get("precision") == "int8"
        return engine, f"int8 with {rest}" if int8 else rest
    if manifest.precision == "bfloat16":
        if options.precision == "float32":
            raise UserError(
                f"{folder}: was exported with --precision bfloat16 and cannot compute in "
                "float32; export it in float32, which serves in both"
            )
        return TensorFlowEngine(encode_packed), "bfloat16"
    if not options.wants_bfloat16:
        return TensorFlowEngine(encode_packed), "float32"
    return TensorFlowEngine(take_out(encode_packed.concrete_functions[0], to_bfloat16)), "bfloat16"
