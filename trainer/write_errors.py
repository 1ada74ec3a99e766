"""Turns the failures of writing to MODEL_DIR into one line."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint

# What the operating system says, and the advice. Only writing can raise these:
_FULL = {
    "No space left": "the disk is full; free space",
    "quota exceeded": "the disk quota is used up; free space",
}
# Reading the corpora can raise these too, so the message must name a path in MODEL_DIR.
_OTHER = {
    "Permission denied": "cannot be written (permission denied); allow it",
    "Read-only file system": "is on a file system that cannot be written; make it writable",
    "No such file or directory": "a file or folder in it was removed; leave the folder alone",
    "Input/output error": "the disk does not work (input/output error); check it",
}


@contextlib.contextmanager
def explain_write_errors(model_dir: str) -> Iterator[None]:
    """Inside, a failed write to MODEL_DIR is an error of one line.

    Raises:
        UserError: A file could not be written; the message says from where the same command
            continues.
    """
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        message = str(error)
        known = {**_FULL, **(_OTHER if f"{model_dir.rstrip('/')}/" in message else {})}
        advice = next((text for words, text in known.items() if words in message), None)
        if advice is None:
            raise
        latest = latest_checkpoint(model_dir)
        then = f"continues from {latest}" if latest else "starts from the beginning"
        raise UserError(
            f"{model_dir}: {advice} and run the same command again, which {then}"
        ) from error
