"""One version of a model in memory: a SavedModel exported by `rejoinder export`."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokenizer's operations
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import VOCABULARY_FILE, ExportManifest
from rejoinder.models.tokenizer.spans import Span, Vocabulary
from rejoinder.serving.engine.engines import Engine, TensorFlowEngine, make_engine
from rejoinder.serving.engine.packing import pack_rows
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.errors import Code, ServingError

# The server needs these signatures to run a model at all.
_NEEDED = {"serving_default", "tokenize", "encode_tokens"}
_DEFAULT_ENGINE = EngineOptions(precision="float32")
# Texts on which the precision is compared with float32.
_PROBES = (
    b"Yes.",
    b"What do you think of it?",
    b"I have had the same problem, and a new battery fixed it.",
    b"na\xc3\xafve caf\xc3\xa9",
    b"the answer is in the manual " * 20,
)


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
        cosine: Least cosine of its embeddings of `_PROBES` to those in float32.
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
        saved_model = saved_model_pb2.SavedModel.FromString(
            storage.read_bytes(str(folder / "saved_model.pb"))
        )
        self.signature_defs = dict(saved_model.meta_graphs[0].signature_def)
        if missing := _NEEDED - set(self.signature_defs):
            raise UserError(
                f"{folder}: lacks the signatures {sorted(missing)}; export with `rejoinder export`"
            )
        self._module = tf.saved_model.load(str(folder))
        if not hasattr(self._module, "encode_packed"):
            raise UserError(
                f"{folder}: was exported by an older release; run `rejoinder export` again"
            )
        self._tokenize = self._module.signatures["tokenize"]
        probes, _ = self.tokenize(_PROBES)
        encode_packed = self._module.encode_packed
        # First in the precision of the export: afterwards its weights may be gone.
        self._engine: Engine = TensorFlowEngine(encode_packed)
        expected, _ = self.encode(probes)
        self._engine, self.precision = make_engine(options, folder, self.manifest, encode_packed)
        found, _ = self.encode(probes)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        self.cosine = float(np.min((found * expected).sum(axis=1) / norms))
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
        out = self._tokenize(text=tf.constant(list(texts), tf.string))
        ids, lengths = out["token_ids"].numpy(), out["num_tokens"].numpy()
        rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
        return rows, out["truncated"].numpy()

    def encode(self, rows: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.float32], int]:
        """Embeds rows of token ids.

        Args:
            rows: n ≥ 1 int32 arrays of at most `manifest.max_length` ids.

        Returns:
            float32 [n, d], zeros for a row without tokens, and the number of computed
            tokens, padding included.
        """
        packed = pack_rows(rows, pad_id=self.manifest.pad_id, longest=self.manifest.max_length)
        embeddings = np.zeros([len(rows), self.manifest.dimension], np.float32)
        if packed.token_ids.size:
            found = self._engine(*packed[:3])
            row, number = packed.slots[:, 0], packed.slots[:, 1]
            inside = (row >= 0) & (number < found.shape[1])
            embeddings[inside] = found[row[inside], number[inside]]
        return embeddings, packed.token_ids.size

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
