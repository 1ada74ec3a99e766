"""Reddit comment dumps to a sentence encoder.

The public API; everything else is found under `rejoinder.<package>`:

    from rejoinder import Encoder

    encoder = Encoder.load("out/model")
    vectors = encoder.encode(["a text", "another"])  # float32 [2, d], L2-normalized

Names are imported on first use: TensorFlow takes seconds to import, and neither
`rejoinder --help` nor `rejoinder doctor` needs it.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from rejoinder import import_order

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder as Encoder
    from rejoinder.models.loading import load_model as load_model
    from rejoinder.models.tokenizer import Tokenizer as Tokenizer
    from rejoinder.retrieval.index import SearchIndex as SearchIndex

_HOMES = {
    "Encoder": "rejoinder.models.encoder",
    "SearchIndex": "rejoinder.retrieval.index",
    "Tokenizer": "rejoinder.models.tokenizer",
    "load_model": "rejoinder.models.loading",
}
__all__ = ["Encoder", "SearchIndex", "Tokenizer", "__version__", "load_model"]

import_order.install(sys.meta_path)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("rejoinder")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "SearchIndex":
        from rejoinder import extras

        extras.check_installed("search", "rejoinder.SearchIndex")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
