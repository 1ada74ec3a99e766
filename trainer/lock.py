"""The lock on MODEL_DIR: two trainings in one folder exclude each other.

The lock is `flock` on `MODEL_DIR/lock`. The system releases it when the process ends, also
after `kill -9`. The file stays, and names the process that had the lock last. Buckets and
file systems without `flock` have no lock.
"""

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator

from rejoinder import storage
from rejoinder.errors import UserError

LOCK = "lock"
_PATIENCE_SECONDS = 0.5  # another command may look at the lock in this moment
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def check_unlocked(model_dir: str) -> None:
    """Checks, without writing anything, that no other process trains in MODEL_DIR.

    Raises:
        UserError: Another process does; the message names it.
    """
    if not (storage.is_local(model_dir) and os.path.exists(_path(model_dir))):
        return
    with _opened(model_dir, os.O_RDONLY) as descriptor:
        _flock(descriptor, fcntl.LOCK_SH, model_dir)


@contextlib.contextmanager
def hold_lock(model_dir: str) -> Iterator[None]:
    """Holds the lock of MODEL_DIR; a missing folder is created.

    Raises:
        UserError: Another process trains there, or the folder cannot be written.
    """
    if not storage.is_local(model_dir):
        yield
        return
    storage.make_folder(model_dir)
    with _opened(model_dir, os.O_RDWR | os.O_CREAT) as descriptor:
        _flock(descriptor, fcntl.LOCK_EX, model_dir)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        except OSError as error:
            raise _cannot_write(model_dir, error) from error
        yield


@contextlib.contextmanager
def _opened(model_dir: str, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(_path(model_dir), flags, 0o666)
    except OSError as error:
        raise _cannot_write(model_dir, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # releases the lock


def _flock(descriptor: int, kind: int, model_dir: str) -> None:
    patient_until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > patient_until:
                raise UserError(
                    f"{model_dir}: {_holder(descriptor)} trains here; wait for it or stop it, or "
                    "name another --model-dir"
                ) from None
            time.sleep(_PATIENCE_SECONDS / 10)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise UserError(f"{model_dir}: cannot be locked ({error.strerror})") from error


def _holder(descriptor: int) -> str:
    """Returns the process that the lock file names, e.g. `process 4711`."""
    pid, _, host = os.pread(descriptor, 1024, 0).decode(errors="replace").strip().partition(" ")
    if not pid:
        return "another process"
    return f"process {pid}" + (f" on {host}" if host != socket.gethostname() else "")


def _path(model_dir: str) -> str:
    return storage.join(model_dir, LOCK)


def _cannot_write(model_dir: str, error: OSError) -> UserError:
    return UserError(
        f"{_path(model_dir)}: cannot be written ({error.strerror}); MODEL_DIR must be a folder "
        "that can be written and has room for checkpoints"
    )
