"""Imports TensorFlow's protocol buffers without TensorFlow.

The messages of the APIs lie in `tensorflow.core`, and Python imports a package before its
modules. TensorFlow takes seconds and 0.7 GB of memory, its messages a few megabytes.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

_deferred: ModuleType | None = None


def defer_tensorflow() -> None:
    """Makes `import tensorflow` run nothing, until one of TensorFlow's names is used.

    If TensorFlow has been imported before, or is not installed, nothing changes.
    """
    global _deferred
    # Not `importlib.util.find_spec`, which imports what has to be imported before TensorFlow.
    spec = PathFinder.find_spec("tensorflow")
    if "tensorflow" in sys.modules or spec is None:
        return

    def load(name: str) -> Any:
        if name.startswith("__"):  # asked for by Python, not by a user of TensorFlow
            raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")
        return getattr(import_tensorflow(), name)

    _deferred = importlib.util.module_from_spec(spec)
    _deferred.__dict__["__getattr__"] = load
    sys.modules["tensorflow"] = _deferred


def import_tensorflow() -> ModuleType:
    """Returns TensorFlow, imported now if it was deferred.

    Libraries that load its shared objects, such as TF Text, can be imported only after it.
    """
    if sys.modules.get("tensorflow") is _deferred:
        sys.modules.pop("tensorflow", None)
    return importlib.import_module("tensorflow")
