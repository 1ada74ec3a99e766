"""Calls a function in worker processes, for commands that need no Beam."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rejoinder.errors import UserError
from rejoinder.pipelines.job.worker_server import die_with

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def call_in_order(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """Yields the result of each task, in order.

    Args:
        function: Defined in a module, and its results can be pickled.
        tasks: What it is called with.
        workers: Processes; with 1, or a single task, this process calls it.

    Raises:
        UserError: A worker process ended early, or the function raised one.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
        return
    # The threads and connections of this process would not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(os.getpid(),))
    try:
        yield from pool.map(function, tasks)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process ended early, as when memory runs out; give fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """Makes a worker end at Ctrl-C without a traceback, and with its parent.

    A worker of a command that ignores Ctrl-C (in the background of a script) ignores it too.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with(parent)
