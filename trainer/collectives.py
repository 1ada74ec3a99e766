"""What replicas tell each other inside a step."""

import tensorflow as tf


def replicas() -> int:
    """Returns the number of replicas of the current strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_id() -> tf.Tensor:
    """Returns the number of this replica among all (int32 scalar)."""
    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def all_reduce(values):
    """Returns the sum of each tensor in a structure over all replicas, by the strategy's means.

    The one collective of a step: everything that replicas tell each other goes through here.
    """
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def sum_over_replicas(values):
    """Returns the sum of each tensor in a structure over all replicas (the same on each)."""
    return values if replicas() == 1 else all_reduce(values)


def gather_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns the rows of all replicas, [n, …] -> [replicas * n, …], replica 0 first.

    Each replica writes its rows into a table of zeros and the tables are summed
    (as in SimCLR, https://github.com/google-research/simclr): the shape is
    static, every strategy has the collective, and its gradient is exact: the
    gradient of a replica's rows is the sum of what all replicas' losses say
    about them.
    """
    if replicas() == 1:
        return rows
    slot = tf.one_hot(replica_id(), replicas(), dtype=rows.dtype)
    table = all_reduce(tf.reshape(slot, [-1] + [1] * rows.shape.rank) * rows[tf.newaxis])
    return tf.reshape(table, tf.concat([[-1], tf.shape(rows)[1:]], 0))


def first_row(count: int) -> tf.Tensor:
    """Returns where this replica's `count` rows begin among the gathered rows (int32 scalar)."""
    if replicas() == 1:
        return tf.constant(0)
    return replica_id() * count
