"""One loaded model version: a SavedModel exported by `models.export`."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokenizer's operations
from tensorflow.core.protobuf import saved_model_pb2

from corpus.errors import UserError
from models.saved_model.manifest import ExportManifest

# What `serving_default` must offer for the server to run a model at all.
_NEEDED = {"serving_default", "tokenize", "encode_tokens"}


class LoadedVersion:
    """A version in memory. Its methods block; call them from a worker thread.

    Attributes:
        number: Version number, the folder's name.
        manifest: What the export says of itself.
        signature_defs: Name → SignatureDef, as TensorFlow Serving reports it.
    """

    def __init__(self, folder: Path):
        """Loads and warms a version.

        Args:
            folder: A published version folder.

        Raises:
            UserError: the folder is not an export of this project.
        """
        self.number = int(folder.name)
        self.manifest = ExportManifest.read(folder)
        saved_model = saved_model_pb2.SavedModel.FromString(
            (folder / "saved_model.pb").read_bytes()
        )
        self.signature_defs = dict(saved_model.meta_graphs[0].signature_def)
        if missing := _NEEDED - set(self.signature_defs):
            raise UserError(
                f"{folder}: lacks the signatures {sorted(missing)}; export with `make export`"
            )
        self._module = tf.saved_model.load(str(folder))
        self._tokenize = self._module.signatures["tokenize"]
        self._encode = self._module.signatures["encode_tokens"]
        self._widths = np.array(self.manifest.widths)

    def width(self, tokens: int) -> int:
        """Returns the bucket width that a row of `tokens` ids is padded to."""
        return int(self._widths[np.searchsorted(self._widths, tokens)])

    def tokenize(self, texts: Sequence[bytes]) -> tuple[list[np.ndarray], np.ndarray]:
        """Tokenizes texts.

        Args:
            texts: n UTF-8 strings, n ≥ 1; bytes that are no UTF-8 are replaced, not refused.

        Returns:
            n int32 arrays of ids, and bool [n]: whether the text was cut.
        """
        out = self._tokenize(text=tf.constant(list(texts), tf.string))
        ids, lengths = out["token_ids"].numpy(), out["num_tokens"].numpy()
        rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
        return rows, out["truncated"].numpy()

    def encode(self, rows: Sequence[np.ndarray], width: int) -> np.ndarray:
        """Embeds rows of ids, none longer than `width`; returns float32 [n, d]."""
        batch = np.full([len(rows), width], self.manifest.pad_id, np.int32)
        for index, row in enumerate(rows):
            batch[index, : len(row)] = row
        return self._encode(token_ids=tf.constant(batch))["embedding"].numpy()

    def warm_up(self) -> float:
        """Runs every bucket width once; returns the seconds it took.

        The first run of a shape selects kernels and allocates memory.
        """
        start = time.monotonic()
        rows, _ = self.tokenize([b"warm up"])
        for width in self.manifest.widths:
            self.encode([rows[0][:width]], width)
        return time.monotonic() - start
