"""Ends a host whose peers are gone.

A collective operation waits for every host. TensorFlow reports a lost peer late, in many
lines, or not at all, depending on what the survivors wait for. A thread of each host
therefore connects to the server of each peer once a second: a killed process refuses the
connection at once, and a lost machine does not answer.
"""

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.distribution.hosts import Host, Hosts

INTERVAL_SECONDS = 1.0
_REFUSALS = 2  # one after the other, before a peer counts as lost
_SILENCE_SECONDS = 15.0  # without an answer, before a peer counts as lost
_CONNECT_SECONDS = 5.0
_EXPLAIN_SECONDS = 25.0  # how long an error of a collective waits for the lost peer's name
_LEAVE_SECONDS = 3.0  # for the main thread to end by itself
# Errors of a collective operation whose peer is gone.
_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)


def refuses(host: Host) -> bool | None:
    """Returns whether nothing listens at a host's address; None if there is no answer."""
    name, _, port = host.address.rpartition(":")
    try:
        socket.create_connection((name.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except OSError:
        return None
    return False


class PeerWatch:
    """A thread that looks for lost peers.

    Args:
        peers: The other hosts.
        on_loss: Called in the thread with a lost peer, once.
        probe: As `refuses`.
        interval: Seconds between two probes of a peer.
    """

    def __init__(
        self,
        peers: Sequence[Host],
        on_loss: Callable[[Host], None],
        *,
        probe: Callable[[Host], bool | None] = refuses,
        interval: float,
    ):
        self._peers = tuple(peers)
        self._on_loss = on_loss
        self._probe = probe
        self._interval = interval
        self._stop = threading.Event()
        self._found = threading.Event()
        self._lost: Host | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lost(self, seconds: float) -> Host | None:
        """Returns the lost peer; waits up to `seconds` for it."""
        self._found.wait(seconds)
        return self._lost

    def close(self) -> None:
        """Stops looking."""
        self._stop.set()

    def _run(self) -> None:
        refusals = dict.fromkeys(self._peers, 0)
        answered = dict.fromkeys(self._peers, time.monotonic())
        while not self._stop.wait(self._interval):
            for peer in self._peers:
                refused = self._probe(peer)
                refusals[peer] = refusals[peer] + 1 if refused else 0
                now = time.monotonic()
                if refused is False:
                    answered[peer] = now
                silent = refused is None and now - answered[peer] > _SILENCE_SECONDS
                if (refusals[peer] >= _REFUSALS or silent) and not self._stop.is_set():
                    self._lost = peer
                    self._found.set()
                    self._on_loss(peer)
                    return


@contextlib.contextmanager
def watch_peers(hosts: Hosts, model_dir: str) -> Iterator[None]:
    """Inside, a lost peer ends this host with one line and status 1.

    Leaves only when every host has come to the end.

    Args:
        hosts: All hosts.
        model_dir: Folder from which the run continues.

    Raises:
        UserError: A peer is gone; the message names it.
    """
    if hosts.count == 1:
        yield
        return
    reported = threading.Event()
    watch = PeerWatch(
        hosts.others,
        lambda peer: _end_process(_lost_line(peer, model_dir), reported),
        interval=INTERVAL_SECONDS,
    )
    try:
        yield
        hosts.barrier()
    except _ERRORS as error:
        peer = watch.lost(_EXPLAIN_SECONDS)
        if peer is None:
            raise
        reported.set()
        # tf.distribute leaves a thread pool open in the frame of a failed reduction. Python
        # would close it as it exits, then without its pipe, and print a traceback.
        traceback.clear_frames(error.__traceback__)
        raise UserError(_lost_line(peer, model_dir)) from error
    finally:
        watch.close()


def _lost_line(peer: Host, model_dir: str) -> str:
    return (
        f"{peer} has ended or cannot be reached; its own output says why. Run the same command "
        f"again on all hosts, which continues from the last checkpoint in {model_dir}"
    )


def _end_process(line: str, reported: threading.Event) -> None:
    """Ends the process if the main thread does not: it may wait without an end.

    Args:
        line: What to print, unless the main thread reports it.
        reported: Whether the main thread reports it.
    """
    time.sleep(_LEAVE_SECONDS)
    if reported.is_set():
        time.sleep(_LEAVE_SECONDS)
    else:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, f"error: {line}\n".encode())
    os._exit(1)


@contextlib.contextmanager
def announce_missing(hosts: Hosts, seconds: float = 5.0) -> Iterator[None]:
    """Prints after some time which hosts have not started, because TensorFlow waits for them.

    Args:
        hosts: All hosts.
        seconds: Seconds after which to print.
    """

    def announce() -> None:
        missing = [str(host) for host in hosts.others if refuses(host) is not False]
        if missing:
            print(f"waiting for {', '.join(missing)}", file=sys.stderr, flush=True)

    timer = threading.Timer(seconds, announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
