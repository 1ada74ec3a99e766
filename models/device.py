"""The device on which a model computes: the first GPU that TensorFlow can use, else the CPU."""

import contextlib
import os
from collections.abc import Sequence

from rejoinder.hardware import find_hardware


def use_first_gpu() -> str:
    """Keeps TensorFlow from reserving the memory of further GPUs.

    TensorFlow is imported only where an NVIDIA card is, because that takes seconds. If it
    has used a GPU before, it keeps all of them, and models run on the first.

    Returns:
        The name of the device.
    """
    gpus = _usable_gpus()
    if len(gpus) > 1:
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # it has started with all of them
            tf.config.set_visible_devices(tf.config.get_visible_devices("GPU")[:1], "GPU")
    return describe(gpus, _cores())


def device_name() -> str:
    """Returns the name of the device, e.g. `CPU (8 cores)`; changes nothing."""
    return describe(_usable_gpus(), _cores())


def cpu_name() -> str:
    """Returns the name of the CPU, e.g. `CPU (8 cores)`."""
    return describe((), _cores())


def describe(gpus: Sequence[str], cores: int) -> str:
    """Returns the name of the first of the GPUs, or of the CPU.

    Args:
        gpus: Names of all GPUs that TensorFlow can use.
        cores: Processor cores of this process.
    """
    if not gpus:
        return f"CPU ({cores} cores)"
    return f"{gpus[0]}, the first of {len(gpus)} GPUs" if len(gpus) > 1 else gpus[0]


def _usable_gpus() -> list[str]:
    if not find_hardware().nvidia:
        return []
    import tensorflow as tf

    return [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.get_visible_devices("GPU")
    ]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
