"""The model: tokenizer, MPNet, dual encoder, weights in and out."""

import importlib
from typing import Any

# Loaded on first use: TensorFlow takes seconds to import, and a command's
# `--help` has no need of it.
_HOMES = {
    "DualEncoder": "models.dual_encoder",
    "Encoder": "models.encoder",
    "MPNetConfig": "models.mpnet",
    "MPNetEncoder": "models.mpnet",
    "SentenceEncoder": "models.sentence_encoder",
    "Tokenizer": "models.tokenizer",
    "load_model": "models.loading",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
