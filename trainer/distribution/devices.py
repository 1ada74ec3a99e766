"""Names the devices of a run."""

import os
from collections import Counter
from collections.abc import Sequence

import tensorflow as tf


def device_names(strategy: tf.distribute.Strategy, hosts: int = 1) -> str:
    """Returns the devices on which the replicas of a strategy run.

    Args:
        strategy: Strategy of the run.
        hosts: Number of hosts; the devices of this one are named.
    """
    specs = [tf.DeviceSpec.from_string(name) for name in strategy.extended.worker_devices]
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.get_visible_devices("GPU")
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return describe(
        [(str(spec.device_type), int(spec.device_index or 0)) for spec in specs],
        gpus,
        cores=cores or 1,
        hosts=hosts,
    )


def describe(
    devices: Sequence[tuple[str, int]], gpus: Sequence[str], *, cores: int, hosts: int = 1
) -> str:
    """Returns e.g. `2 x NVIDIA H100 80GB HBM3`, or `CPU (8 cores)`.

    Args:
        devices: Type and index of the device of each replica of one host.
        gpus: Names of all GPUs of this host that TensorFlow can use.
        cores: Processor cores of this process.
        hosts: Number of hosts.
    """
    kind = devices[0][0]
    if kind == "GPU":
        counts = Counter(gpus[index] for _, index in devices)
        text = ", ".join(f"{count} x {name}" for name, count in counts.items())
    elif kind == "CPU":
        several = f"{len(devices)} logical devices, " if len(devices) > 1 else ""
        text = f"CPU ({several}{cores} core{'s' if cores > 1 else ''})"
        if gpus:
            text += f"; not used: {len(gpus)} x {gpus[0]} (--strategy auto)"
    else:
        text = f"{len(devices)} {kind} cores"
    return f"{text} on each of {hosts} hosts" if hosts > 1 else text
