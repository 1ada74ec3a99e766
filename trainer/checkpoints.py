"""Checkpoints of several hosts: every host restores from MODEL_DIR, the chief alone writes."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from official.core import train_lib

from rejoinder.errors import UserError
from rejoinder.trainer.distribution.hosts import Hosts


class HostCheckpointManager(tf.train.CheckpointManager):
    """A checkpoint manager that every host calls and with which only the chief writes.

    Model Garden lets every host save, the others into temporary folders, because reading
    a variable with one value for each replica (`ON_READ`) is a collective operation. A
    training checkpoint has no such variable: weights, moments and counters are the same
    on all replicas. The other hosts wait until the chief has written.

    Attributes:
        after_save: Function that the chief calls after each checkpoint, or None.

    Args:
        checkpoint: The objects to save and restore.
        hosts: All hosts.
        options: As `tf.train.CheckpointManager`.
    """

    def __init__(self, checkpoint: tf.train.Checkpoint, hosts: Hosts, **options: Any):
        super().__init__(checkpoint, **options)
        self._hosts = hosts
        self.after_save: Callable[[], object] | None = None
        # TensorFlow creates this counter when it is first read, which all hosts do together.
        _ = checkpoint.save_counter

    def save(
        self,
        checkpoint_number: Any = None,
        check_interval: bool = True,
        options: tf.train.CheckpointOptions | None = None,
    ) -> str | None:
        """Saves on the chief; returns the path on every host, or None if nothing was saved."""
        path = None
        if self._hosts.is_chief:
            path = super().save(checkpoint_number, check_interval, options)
            if path and self.after_save:
                self.after_save()
        saved = self._hosts.gather(int(path is not None))[0]
        if saved and path is None:
            path = f"{self._prefix}-{int(checkpoint_number)}"
            self._latest_checkpoint = path
        return path

    def restore_or_initialize(self) -> str | None:
        """Restores the latest checkpoint on every host, or initializes without one.

        Raises:
            UserError: The hosts do not see the same MODEL_DIR.
        """
        self.sync()
        path: str | None = super().restore_or_initialize()
        steps = self._hosts.gather(int(self._step_counter.numpy()))
        for host, step in zip(self._hosts.members, steps, strict=False):
            if step != steps[0]:
                raise UserError(
                    f"{self.directory}: {self._hosts.chief} found step {steps[0]} and {host} step "
                    f"{step}; MODEL_DIR must be one folder that all hosts can read"
                )
        return path

    def sync(self) -> None:
        """Waits until the chief has written everything."""
        super().sync()
        self._hosts.barrier()


class Runner(train_lib.OrbitExperimentRunner):
    """Model Garden's runner with checkpoints and summaries of the chief only.

    Args:
        hosts: All hosts.
        options: As `OrbitExperimentRunner`.
    """

    def __init__(self, hosts: Hosts, **options: Any):
        self._hosts = hosts
        super().__init__(save_summary=hosts.is_chief, **options)

    def _maybe_build_checkpoint_manager(self) -> HostCheckpointManager:
        trainer = self.params.trainer
        with self.strategy.scope():
            return HostCheckpointManager(
                self.trainer.checkpoint,
                self._hosts,
                directory=self.model_dir,
                max_to_keep=trainer.max_to_keep,
                step_counter=self.trainer.global_step,
                checkpoint_interval=trainer.checkpoint_interval,
                init_fn=self.trainer.initialize,
            )
