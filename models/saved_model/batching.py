"""`batching_params.pbtxt`: TensorFlow Serving's batching parameters for this model.

Read with `--enable_batching --enable_per_model_batching_parameters`.
"""

from pathlib import Path

BATCHING_FILE = "batching_params.pbtxt"

_TEXT = """\
# Rows of concurrent requests are joined up to this many; the graph then sorts
# them into length buckets itself, so mixing lengths costs nothing.
max_batch_size { value: 64 }
# How long a first row waits for company, in microseconds.
batch_timeout_micros { value: 2000 }
# One per core of a small machine; raise with the cores (1 or 2 for a GPU).
num_batch_threads { value: 2 }
# Beyond this the server answers UNAVAILABLE at once instead of queueing on.
max_enqueued_batches { value: 32 }
# A request of more rows than max_batch_size is split, not refused.
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 64 }
# encode_tokens rows of different widths are never joined: TensorFlow Serving
# would fill them with the row's first id, which is not the padding id.
pad_variable_length_inputs: false
"""


def write_batching_params(folder: Path) -> None:
    """Writes the file into a SavedModel folder."""
    (folder / BATCHING_FILE).write_text(_TEXT)
