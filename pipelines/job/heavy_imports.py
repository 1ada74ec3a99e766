"""Imports of large libraries without garbage collection.

TensorFlow and Beam create a million objects that stay until the end of the process. Python's
collector goes through all of them several times while they are imported, and once more when
the report is drawn: a sixth of the start-up.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside, nothing is collected; what is there at the end is never looked at again.

    If nothing was imported, the objects stay with the collector: a process that does the same
    work again and again would otherwise keep its garbage.
    """
    enabled, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if enabled:
            gc.enable()
