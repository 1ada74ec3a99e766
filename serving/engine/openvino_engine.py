"""Loads a version for OpenVINO: without TensorFlow, if the export has what that needs."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.models.saved_model.openvino_model import OPENVINO_FILE, OpenVinoEncoder
from rejoinder.models.saved_model.reference import TEXTS, TOKENIZER_FILE, Reference
from rejoinder.models.tokenizer.hugging_face import HuggingFaceTokenizer
from rejoinder.serving.deferred_tensorflow import import_tensorflow
from rejoinder.serving.engine.engines import Parts, Tokenize, encode_rows, least_cosine
from rejoinder.serving.engine_options import EngineOptions

logger = logging.getLogger("rejoinder.serving")


def load_openvino(folder: Path, manifest: ExportManifest, options: EngineOptions) -> Parts:
    """Loads a version for OpenVINO.

    Args:
        folder: The version's folder.
        manifest: Its manifest.
        options: The server's options.

    Raises:
        UserError: The export has no OpenVINO model, or OpenVINO is not installed.
    """
    path = folder / OPENVINO_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: has no OpenVINO model for --engine openvino; "
            "export with `rejoinder export --openvino`"
        )
    tokenize, reference = _load_tokenizer(folder, manifest)
    engine = OpenVinoEncoder(
        str(path),
        bfloat16=options.wants_bfloat16,
        threads=options.threads,
        streams=options.workers,
    )
    rest = "bfloat16" if options.wants_bfloat16 else "float32"
    precision = f"int8 with {rest}" if manifest.openvino.get("precision") == "int8" else rest
    found, _ = encode_rows(engine, tokenize(TEXTS)[0], manifest)
    engine.release_weights()
    return Parts(tokenize, engine, precision, least_cosine(found, reference))


def _load_tokenizer(folder: Path, manifest: ExportManifest) -> tuple[Tokenize, NDArray[np.float32]]:
    """Returns the tokenizer, and the embeddings of `TEXTS` in float32."""
    if (folder / TOKENIZER_FILE).is_file():
        reference = Reference.read(folder)
        text = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
        tokenizer = HuggingFaceTokenizer(text, manifest.max_length)
        if tokenizer.digest() == reference.tokenizers:
            return tokenizer, reference.embeddings
        cause = "the package tokenizers has other Unicode tables than that of the export"
    else:
        cause = "an older release exported it"
    logger.warning(
        "%s: tokenizes with TensorFlow, which takes 0.7 GB of memory, because %s; "
        "run `rejoinder export` again",
        *(folder, cause),
    )
    import_tensorflow()
    from rejoinder.models.device import use_first_gpu
    from rejoinder.serving.engine.tensorflow_engine import TensorFlowEngine, load_module

    use_first_gpu()
    tokenize, encode_packed = load_module(folder)
    engine = TensorFlowEngine(encode_packed)
    return tokenize, encode_rows(engine, tokenize(TEXTS)[0], manifest)[0]
