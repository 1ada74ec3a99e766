"""Cross-replica collectives of a training step."""

import contextlib
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class ProgramReplica:
    """One replica of a program that is lowered here for devices that are not here.

    Attributes:
        count: Replicas of the program.
        index: Index of this one, int32 scalar.
        instances: Numbers of the collective operations.
    """

    count: int
    index: tf.Tensor
    instances: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def all_reduce(self, value: tf.Tensor) -> tf.Tensor:
        """Returns the sum over the replicas; its gradient is the sum of their gradients."""

        @tf.custom_gradient
        def with_gradient(x: tf.Tensor) -> Any:
            return self._reduce(x), self._reduce

        return with_gradient(value)

    def _reduce(self, value: tf.Tensor) -> tf.Tensor:
        # The collective operation that XLA compiles, for any number of replicas.
        return tf.raw_ops.CollectiveReduceV2(
            input=value,
            group_size=self.count,
            group_key=1,
            instance_key=next(self.instances),
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
        )


_lowered: ContextVar[ProgramReplica | None] = ContextVar("lowered", default=None)


@contextlib.contextmanager
def program_replica(count: int, index: tf.Tensor) -> Iterator[None]:
    """Makes the functions below those of one replica of a program for `count` replicas.

    Args:
        count: Replicas of the program.
        index: Index of this replica, int32 scalar.
    """
    token = _lowered.set(ProgramReplica(count, index))
    try:
        yield
    finally:
        _lowered.reset(token)


def replicas() -> int:
    """Returns the number of replicas of the current strategy."""
    lowered = _lowered.get()
    return lowered.count if lowered else int(tf.distribute.get_strategy().num_replicas_in_sync)


def replica_id() -> tf.Tensor:
    """Returns the index of this replica among all (int32 scalar)."""
    lowered = _lowered.get()
    if lowered:
        return lowered.index
    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def all_reduce(values: Any) -> Any:
    """Returns the sum of each tensor in a structure over all replicas.

    Every exchange between replicas in a step goes through this function.
    """
    lowered = _lowered.get()
    if lowered:
        return tf.nest.map_structure(lowered.all_reduce, values)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def sum_over_replicas(values: Any) -> Any:
    """Returns the sum of each tensor in a structure over all replicas (the same on each)."""
    return values if replicas() == 1 else all_reduce(values)


def gather_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns the rows of all replicas, [n, …] -> [replicas * n, …], replica 0 first.

    Each replica writes its rows into a table of zeros and the tables are summed
    (as in SimCLR, https://github.com/google-research/simclr): the shape is
    static, every strategy has this collective, and its gradient is exact: the
    gradient of a replica's rows is the sum over the losses of all replicas.
    """
    if replicas() == 1:
        return rows
    slot = tf.one_hot(replica_id(), replicas(), dtype=rows.dtype)
    table = all_reduce(tf.reshape(slot, [-1] + [1] * rows.shape.rank) * rows[tf.newaxis])
    return tf.reshape(table, tf.concat([[-1], tf.shape(rows)[1:]], 0))


def first_row(count: int) -> tf.Tensor:
    """Returns the index of this replica's first row among the gathered rows (int32 scalar)."""
    if replicas() == 1:
        return tf.constant(0)
    return replica_id() * count
