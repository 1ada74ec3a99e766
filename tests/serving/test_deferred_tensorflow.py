"""TensorFlow's messages without TensorFlow."""

import subprocess
import sys


def test_messages_are_imported_without_tensorflow():
    program = """
import sys
import rejoinder  # may have modules imported before TensorFlow
from rejoinder.serving.deferred_tensorflow import defer_tensorflow
defer_tensorflow()
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DT_INT32
print(DT_INT32, hasattr(tf, "__version__"))
print("tensorflow.python" in sys.modules, "triton" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3", "False", "False", "False"]
