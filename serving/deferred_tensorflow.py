"""Imports TensorFlow's protocol buffers without TensorFlow.

The messages of the APIs lie in `tensorflow.core`, and Python imports a package before its
modules. TensorFlow takes seconds and 0.7 GB of memory, its messages a few megabytes.
"""

import importlib.util
import sys
from typing import Any


def defer_tensorflow() -> None:
    """Makes `import tensorflow` run nothing, until one of TensorFlow's names is used.

    If TensorFlow has been imported before, or is not installed, nothing changes.
    """
    spec = importlib.util.find_spec("tensorflow")
    if "tensorflow" in sys.modules or spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        if name.startswith("__"):  # asked for by Python, not by a user of TensorFlow
            raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")
        if package.__dict__.pop("__getattr__", None):
            loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = load
    sys.modules["tensorflow"] = package


def import_tensorflow() -> None:
    """Imports TensorFlow, deferred or not.

    Libraries that load its shared objects, such as TF Text, can be imported only after it.
    """
    import tensorflow as tf

    hasattr(tf, "constant")
