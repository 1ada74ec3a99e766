"""Gives the next task of a step to the first worker process that is free.

Beam's local runner divides the tasks among its workers before they begin. Months of dumps
differ in size a thousandfold, so a worker that got the large ones would end long after the
others. The workers share the disk of the staging folder, and take the tasks there in order.
"""

import fcntl
import os

from rejoinder.errors import UserError

FOLDER = "claims"


def next_task(staging: str, step: str) -> int:
    """Returns 0 at the first call for a step of a run, 1 at the second …, in any process.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    path = os.path.join(staging, FOLDER, step)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing the file ends it
            claimed = os.fstat(file.fileno()).st_size  # bytes: one for each task
            file.write(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    return claimed
