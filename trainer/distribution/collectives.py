"""Cross-replica collectives of a training step."""

from typing import Any

import tensorflow as tf


def replicas() -> int:
    """Returns the number of replicas of the current strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def replica_id() -> tf.Tensor:
    """Returns the index of this replica among all (int32 scalar)."""
    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def all_reduce(values: Any) -> Any:
    """Returns the sum of each tensor in a structure over all replicas.

    Every exchange between replicas in a step goes through this function.
    """
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
