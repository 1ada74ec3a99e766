"""Loads a SavedModel and runs its functions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokenizer's operations
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.models.saved_model.reference import TEXTS
from rejoinder.serving.engine.bfloat16 import to_bfloat16
from rejoinder.serving.engine.engines import Parts, encode_rows, least_cosine
from rejoinder.serving.engine.packed_function import take_out
from rejoinder.serving.engine_options import EngineOptions


class SavedModelTokenizer:
    """Tokenizes with the SavedModel's signature, and keeps the SavedModel's variables alive."""

    def __init__(self, module: tf.Module):
        self._module = module
        self._tokenize = module.signatures["tokenize"]

    def __call__(self, texts: Sequence[bytes]) -> tuple[list[NDArray[np.int32]], NDArray[np.bool_]]:
        """Returns int32 ids of each text, and bool [n]: whether the text was truncated."""
        out = self._tokenize(text=tf.constant(list(texts), tf.string))
        ids, lengths = out["token_ids"].numpy(), out["num_tokens"].numpy()
        rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
        return rows, out["truncated"].numpy()


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


def load_module(folder: Path) -> tuple[SavedModelTokenizer, tf.types.experimental.GenericFunction]:
    """Returns a version's tokenizer and its function that embeds packed rows.

    Raises:
        UserError: The SavedModel lacks that function.
    """
    module = tf.saved_model.load(str(folder))
    if not hasattr(module, "encode_packed"):
        raise UserError(f"{folder}: was exported by an older release; run `rejoinder export` again")
    return SavedModelTokenizer(module), module.encode_packed


def load_tensorflow(folder: Path, manifest: ExportManifest, options: EngineOptions) -> Parts:
    """Loads a version for TensorFlow.

    Args:
        folder: The version's folder.
        manifest: Its manifest.
        options: The server's options.

    Raises:
        UserError: The export is not for the precision that is asked for.
    """
    if manifest.precision == "bfloat16" and options.precision == "float32":
        raise UserError(
            f"{folder}: was exported with --precision bfloat16 and cannot compute in "
            "float32; export it in float32, which serves in both"
        )
    tokenize, encode_packed = load_module(folder)
    engine, precision = TensorFlowEngine(encode_packed), manifest.precision
    rows, _ = tokenize(TEXTS)
    expected, _ = encode_rows(engine, rows, manifest)
    if precision == "float32" and options.wants_bfloat16:
        # Afterwards the function of the SavedModel has lost its weights.
        engine = TensorFlowEngine(take_out(encode_packed.concrete_functions[0], to_bfloat16))
        precision = "bfloat16"
    found, _ = encode_rows(engine, rows, manifest)
    return Parts(tokenize, engine, precision, least_cosine(found, expected))
