"""Loads the parts of a server one after another, for `benchmarks.serve_memory`.

    python -m benchmarks.serve_memory_steps VERSION_FOLDER ENGINE PRECISION

Prints the memory of this process after each part as JSON. It imports nothing else.
"""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

PYTHON = "Python and NumPy"
TENSORFLOW = "import of TensorFlow and TF Text"
OPENVINO = "import of OpenVINO"
SERVER = "import of the server (HTTP, gRPC, messages)"
LOADING = "loading: weights, graphs, tokenizer"
WARM_UP = "warm-up: kernels, packed weights, buffers"


class Memory(NamedTuple):
    """Resident memory in MiB.

    Attributes:
        resident: All of it (RSS).
        shared_out: RSS with the pages of several processes divided among them (PSS).
        anonymous: The part that is of no file.
    """

    resident: float
    shared_out: float
    anonymous: float


def measure(pid: int | str) -> Memory:
    """Returns the memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(size) / 1024 for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
    return Memory(found["Rss"], found["Pss"], found["Anonymous"])


def print_steps(folder: str, engine: str, precision: str) -> None:
    """Loads the parts of a server one after another and prints the memory after each as JSON."""
    steps: dict[str, Memory] = {}
    import numpy  # noqa: F401

    steps[PYTHON] = measure("self")
    if engine == "tensorflow":
        import tensorflow_text  # noqa: F401

        steps[TENSORFLOW] = measure("self")
    else:
        from rejoinder.models.saved_model.openvino_model import import_openvino
        from rejoinder.serving.deferred_tensorflow import defer_tensorflow

        defer_tensorflow()
        import_openvino("benchmarks.serve_memory_steps")
        steps[OPENVINO] = measure("self")
    import uvicorn  # noqa: F401

    from rejoinder.serving.apis import grpc  # noqa: F401
    from rejoinder.serving.engine.model_version import ModelVersion
    from rejoinder.serving.engine_options import EngineOptions
    from rejoinder.serving.http import app  # noqa: F401
    from rejoinder.serving.limits import Limits

    steps[SERVER] = measure("self")
    version = ModelVersion(Path(folder), EngineOptions(engine, precision))
    steps[LOADING] = measure("self")
    version.warm_up(Limits().max_batch_tokens)
    steps[WARM_UP] = measure("self")
    print(json.dumps(steps))


if __name__ == "__main__":
    print_steps(*sys.argv[1:])
