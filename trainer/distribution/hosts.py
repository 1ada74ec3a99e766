"""The hosts of a run, and the numbers that they exchange between two steps."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rejoinder.errors import UserError

GUIDE = "https://www.tensorflow.org/guide/distributed_training#TF_CONFIG"
_JOBS = ("chief", "worker")  # in the order in which TensorFlow numbers the replicas
# Keys of the exchange among all collectives of the process; tf.distribute counts from 1.
_GROUP_KEY = 2**30
_INSTANCE_KEY = 2**30


@dataclass(frozen=True)
class Host:
    """One process of a run.

    Attributes:
        job: `chief` or `worker`.
        task: Index in the job.
        address: `name:port` where TensorFlow's server of the host listens.
    """

    job: str
    task: int
    address: str

    def __str__(self) -> str:
        return f"{self.job} {self.task} ({self.address})"


class Hosts:
    """All hosts of a run and the place of this one among them.

    The first host is the chief: it alone writes to MODEL_DIR.

    Args:
        members: All hosts; none means that this process is the only one.
        index: Index of this host.
    """

    def __init__(self, members: Sequence[Host] = (), index: int = 0):
        self.members = tuple(members)
        self.index = index
        self._sum = tf.function(self._sum_of_tables, autograph=False)

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> "Hosts":
        """Returns the hosts of a strategy."""
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return cls.from_environment()
        return cls()

    @classmethod
    def from_environment(cls) -> "Hosts":
        """Returns the hosts that the environment variable TF_CONFIG names.

        Raises:
            UserError: The variable is missing or does not describe a cluster.
        """
        text = os.environ.get("TF_CONFIG")
        if not text:
            raise UserError(
                "multi_worker_mirrored: the environment variable TF_CONFIG must name the cluster "
                f"and this worker ({GUIDE})"
            )
        try:
            content = json.loads(text)
            cluster, task = content["cluster"], content["task"]
            members = [
                Host(job, number, str(address))
                for job in _JOBS
                for number, address in enumerate(cluster.get(job, ()))
            ]
            own = (task["type"], int(task["index"]))
            index = [(host.job, host.task) for host in members].index(own)
            for host in members:
                int(host.address.rpartition(":")[2])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                "TF_CONFIG: must list addresses (name:port) of the jobs chief and worker under "
                f"'cluster', and type and index of this process under 'task' ({GUIDE}), got {text}"
            ) from error
        return cls(members, index)

    @property
    def count(self) -> int:
        """Number of hosts."""
        return max(len(self.members), 1)

    @property
    def is_chief(self) -> bool:
        """Whether this host writes to MODEL_DIR."""
        return self.index == 0

    @property
    def chief(self) -> Host:
        """The host that writes to MODEL_DIR."""
        return self.members[0]

    @property
    def this(self) -> Host:
        """This host."""
        return self.members[self.index]

    @property
    def others(self) -> tuple[Host, ...]:
        """All hosts except this one."""
        return tuple(host for host in self.members if host != self.members[self.index])

    def gather(self, value: int) -> list[int]:
        """Returns the value of each host; every host must call it at the same place.

        Args:
            value: A signed integer of 64 bits.
        """
        if self.count == 1:
            return [value]
        table = np.zeros(self.count, np.int64)
        table[self.index] = value
        values: NDArray[np.int64] = self._sum(tf.constant(table)).numpy()
        return [int(number) for number in values]

    def barrier(self) -> None:
        """Waits until every host has called it."""
        self.gather(0)

    def check_equal(self, what: str, text: str) -> None:
        """Compares a text of all hosts.

        Args:
            what: Name of the text in the error.
            text: This host's.

        Raises:
            UserError: A host has another text than the chief.
        """
        digest = hashlib.sha256(text.encode()).digest()[:8]
        values = self.gather(int.from_bytes(digest, "big") >> 1)
        for host, value in zip(self.members, values, strict=False):
            if value != values[0]:
                raise UserError(
                    f"{host} has other {what} than {self.chief}; run the same command, with the "
                    "same files, on all hosts"
                )

    def _sum_of_tables(self, table: tf.Tensor) -> tf.Tensor:
        # On the CPU, so that a host does not wait for the step that its GPU computes.
        with tf.device(f"/job:{self.this.job}/task:{self.this.task}/device:CPU:0"):
            return tf.raw_ops.CollectiveReduceV2(
                input=table,
                group_size=self.count,
                group_key=_GROUP_KEY,
                instance_key=_INSTANCE_KEY,
                ordering_token=[],
                merge_op="Add",
                final_op="Id",
            )
