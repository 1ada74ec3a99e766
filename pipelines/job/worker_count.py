"""`--workers auto`: as many local worker processes as the input, the cores and the memory allow."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from rejoinder.errors import UserError
from rejoinder.machine import Machine, find_machine
from rejoinder.units import format_bytes


@dataclass(frozen=True)
class WorkerCost:
    """What a worker process needs.

    Attributes:
        memory: Most bytes of memory that it uses.
        work: Bytes of input for which starting it is worth its time.
    """

    memory: int
    work: int


# A worker of the Beam job, per decompressed byte: two seconds of work.
JOB = WorkerCost(memory=1_600_000_000, work=256 << 20)


def choose_workers(size: int, cost: WorkerCost, machine: Machine | None = None) -> tuple[int, str]:
    """Chooses the number of worker processes.

    Args:
        size: Bytes of input.
        cost: What each worker needs.
        machine: What it may use; None looks at this machine.

    Returns:
        The number, at least 1, and a line that says what was chosen and why. The number does
        not depend on what other processes use, so that an interrupted run is continued.
    """
    machine = machine or find_machine()
    limits = [
        (size // cost.work, "because the input is small"),
        (machine.memory // cost.memory, "as many as memory has room for"),
        (machine.cores, "one for each core"),
    ]
    count, reason = min(limits, key=lambda limit: limit[0])
    count = max(count, 1)
    return count, (
        f"--workers auto: {count:,} {'process' if count == 1 else 'processes'}, {reason} "
        f"(cores: {machine.cores:,}; memory: {format_bytes(machine.memory)}, a worker takes up to "
        f"{format_bytes(cost.memory)}; input: {format_bytes(size)})"
    )


def workers_of(given: int | None, size: Callable[[], int], cost: WorkerCost) -> int:
    """Returns the number of worker processes of a command; prints the line of `auto`.

    Args:
        given: The value of `--workers`; None is `auto`.
        size: Returns the bytes of input; called for `auto` only.
        cost: What each worker needs.

    Raises:
        UserError: The number is less than 1.
    """
    if given is None:
        workers, line = choose_workers(size(), cost)
        print(line, file=sys.stderr)
        return workers
    if given < 1:
        raise UserError(f"--workers: must be at least 1, got {given}")
    return given
