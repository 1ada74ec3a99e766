"""Imports triton before TensorFlow, wherever TensorFlow is imported from.

TensorFlow 2.20's wheels load their libraries with RTLD_GLOBAL; importing triton
afterwards, which PyPI's default torch does, is a segmentation fault
(https://github.com/tensorflow/tensorflow/issues/124205). The other order works.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class TritonBeforeTensorFlow(MetaPathFinder):
    """Finds no module; imports triton (0.25 s) when `tensorflow` is about to be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns None, so that the finders after this one find the module."""
        if fullname == "tensorflow":
            sys.meta_path.remove(self)
            if importlib.util.find_spec("triton"):
                importlib.import_module("triton")
        return None


def install(finders: list[Any]) -> None:
    """Puts the finder in front of `finders`, unless TensorFlow is imported already."""
    if "tensorflow" not in sys.modules:
        finders.insert(0, TritonBeforeTensorFlow())
