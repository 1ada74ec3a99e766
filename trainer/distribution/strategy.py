"""Devices of a run."""

import tensorflow as tf
from official.common import distribute_utils

from rejoinder.errors import UserError
from rejoinder.trainer.distribution.hosts import Hosts
from rejoinder.trainer.distribution.peers import announce_missing
from rejoinder.trainer.distribution.tpu import check_tpu, refusal

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker_mirrored", "tpu")


def make_strategy(
    name: str, *, tpu: str | None = None, num_gpus: int = 0, devices: int = 0
) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy.

    Args:
        name: One of `STRATEGIES`; ignored if `tpu` is given.
        tpu: `local` on a TPU VM, a TPU's name, or `grpc://address:8470`.
        num_gpus: GPUs of this host. For `auto` 0 means all, for `one_device` and `mirrored`
            it means the CPU.
        devices: Logical CPU devices for `mirrored` without GPUs (0 means 1), to try a
            run on several replicas on any machine.

    Raises:
        UserError: There is no such strategy, or its devices are not available.
    """
    if tpu:
        name = "tpu"
    if name not in STRATEGIES:
        raise UserError(
            f"runtime.distribution_strategy: must be one of {', '.join(STRATEGIES)}, got {name!r}"
        )
    gpus = len(tf.config.get_visible_devices("GPU"))
    if num_gpus > gpus:
        raise UserError(
            f"runtime.num_gpus: this machine has {gpus} GPUs that TensorFlow can use, "
            f"got {num_gpus}"
        )
    if name == "auto":
        name, num_gpus = choose(num_gpus, gpus)
    if name == "mirrored" and not num_gpus:
        if devices > 1:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * devices,
            )
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(max(devices, 1))])
    if name == "multi_worker_mirrored":
        return _connect(Hosts.from_environment())
    if tpu:
        check_tpu(tpu)
    try:
        return distribute_utils.get_distribution_strategy(name, num_gpus=num_gpus, tpu_address=tpu)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        if name != "tpu":
            raise
        raise refusal(str(tpu), error) from error


def choose(num_gpus: int, gpus: int) -> tuple[str, int]:
    """Returns the strategy and the number of GPUs of `auto`.

    Args:
        num_gpus: The number that is asked for, 0 for all.
        gpus: Number of GPUs that TensorFlow can use.
    """
    used = num_gpus or gpus
    return ("mirrored" if used > 1 else "one_device"), used


def _connect(hosts: Hosts) -> tf.distribute.Strategy:
    """Waits for all hosts and returns their strategy."""
    try:
        with announce_missing(hosts):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"{hosts.this}: cannot join the other hosts of TF_CONFIG "
            f"({str(error).splitlines()[0]}); start the same command on all hosts"
        ) from error
