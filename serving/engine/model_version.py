"""One version of a model in memory: a folder that `rejoinder export` wrote."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import VOCABULARY_FILE, ExportManifest
from rejoinder.models.tokenizer.spans import Span, Vocabulary
from rejoinder.serving.engine.engines import Parts, encode_rows
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.errors import Code, ServingError

# The server needs these signatures to run a model at all.
_NEEDED = {"serving_default", "tokenize", "encode_tokens"}
_DEFAULT_ENGINE = EngineOptions(precision="float32")


class ModelVersion:
    """A version in memory. Its methods block; call them from a worker thread.

    Attributes:
        number: Version number, the folder's name.
        manifest: The export's manifest.
        signature_defs: Name → SignatureDef, as TensorFlow Serving reports it.
        first_id: Id of the token that begins each text, `<s>`.
        last_id: Id of the token that ends each text, `</s>`.
        measured: Tokens and seconds of two batches, the smallest first; set by `warm_up`.
        precision: In which the engine computes.
        cosine: Least cosine of its embeddings of five texts to those in float32.
    """

    def __init__(self, folder: Path, options: EngineOptions = _DEFAULT_ENGINE):
        """Loads a version.

        Args:
            folder: A published version folder.
            options: Engine and precision.

        Raises:
            UserError: The folder is not an export of this project, or not for this engine.
        """
        self.number = int(folder.name)
        self._vocabulary_file = folder / VOCABULARY_FILE
        self._vocabulary: Vocabulary | None = None
        self.measured: list[tuple[int, float]] = []
        self.manifest = ExportManifest.read(folder)
        self.signature_defs = _read_signatures(folder)
        if missing := _NEEDED - set(self.signature_defs):
            raise UserError(
                f"{folder}: lacks the signatures {sorted(missing)}; export with `rejoinder export`"
            )
        self._tokenize, self._engine, self.precision, self.cosine = _load_parts(
            folder, self.manifest, options
        )
        self.first_id, self.last_id = map(int, self.tokenize([b""])[0][0])

    def spans(self, texts: Sequence[bytes], rows: Sequence[NDArray[np.int32]]) -> list[list[Span]]:
        """Finds the tokens of texts in them; the first call reads the vocabulary.

        Raises:
            ServingError: The export has no vocabulary, because an older release wrote it.
        """
        if self._vocabulary is None:
            try:
                self._vocabulary = Vocabulary.from_json(self._vocabulary_file.read_text())
            except FileNotFoundError:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    "the model was exported without its vocabulary; run `rejoinder export` again",
                ) from None
        return [
            self._vocabulary.spans(text.decode(), row.tolist())
            for text, row in zip(texts, rows, strict=True)
        ]

    def tokenize(self, texts: Sequence[bytes]) -> tuple[list[NDArray[np.int32]], NDArray[np.bool_]]:
        """Tokenizes texts.

        Args:
            texts: n ≥ 1 strings in UTF-8; invalid bytes are replaced, not refused.

        Returns:
            n int32 arrays of token ids, and bool [n]: whether the text was truncated.
        """
        return self._tokenize(texts)

    def encode(self, rows: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.float32], int]:
        """Embeds rows of token ids.

        Args:
            rows: n ≥ 1 int32 arrays of at most `manifest.max_length` ids.

        Returns:
            float32 [n, d], zeros for a row without tokens, and the number of computed
            tokens, padding included.
        """
        return encode_rows(self._engine, rows, self.manifest)

    def warm_up(self, full_tokens: int) -> float:
        """Runs every bucket width once; returns the seconds it took.

        The first run of a shape selects kernels and allocates memory.

        Args:
            full_tokens: Tokens of a full batch, whose time is measured.
        """
        start = time.monotonic()
        rows, _ = self.tokenize([b"warm up"])
        for width in self.manifest.widths:
            self.encode([np.resize(rows[0], width)])
        longest = np.resize(rows[0], self.manifest.max_length)
        full = [longest] * max(1, full_tokens // len(longest))
        self.encode(full)
        self.measured = [self._measure(rows), self._measure(full)]
        return time.monotonic() - start

    def _measure(self, rows: Sequence[NDArray[np.int32]]) -> tuple[int, float]:
        start = time.monotonic()
        self.encode(rows)
        return sum(map(len, rows)), time.monotonic() - start


def _read_signatures(folder: Path) -> dict[str, SignatureDef]:
    """Returns the signatures of a SavedModel by name."""
    data = storage.read_bytes(str(folder / "saved_model.pb"))
    found = SavedModel.FromString(data).meta_graphs[0].signature_def
    # Copies: a part of a message keeps all of it in memory, graphs included.
    return {name: SignatureDef.FromString(found[name].SerializeToString()) for name in found}


def _load_parts(folder: Path, manifest: ExportManifest, options: EngineOptions) -> Parts:
    """Loads a version's tokenizer and engine; only TensorFlow's imports TensorFlow."""
    if options.engine == "openvino":
        from rejoinder.serving.engine.openvino_engine import load_openvino

        return load_openvino(folder, manifest, options)
    from rejoinder.serving.engine.tensorflow_engine import load_tensorflow

    return load_tensorflow(folder, manifest, options)
