"""Limits each process to one thread per library, so that `--workers` sets the number of cores."""

import os
import sys

from rejoinder.pipelines.job import memory

# polars, Arrow and TensorFlow otherwise start one thread per core in each worker process.
_ONE_THREAD = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Importing TensorFlow imports Keras 2 instead of Keras 3, which takes 1.3 s longer.
    "TF_USE_LEGACY_KERAS": "1",
    # The allocator of polars keeps freed memory for 10 s instead of half a second: taking the
    # pages of each chunk from the system again costs 6 % of the time.
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:10000",
}


def limit_threads(*, hide_gpus: bool = True) -> None:
    """Limits this process and its children to one thread for columns and tokens.

    Call it before polars or TensorFlow are imported: they read the environment once.

    Args:
        hide_gpus: Whether TensorFlow shall use no GPU, whose memory each process would
            reserve. Otherwise the processes share one.
    """
    os.environ.update(_ONE_THREAD)
    if hide_gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    else:
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    memory.keep_freed_pages()
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.set_cpu_count(1)
