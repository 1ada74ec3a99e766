"""Failures of writing to MODEL_DIR."""

import re

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.write_errors import explain_write_errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "the disk is full; free space and run the same"),
        (
            tf.errors.ResourceExhaustedError(None, None, "ckpt-4_temp; No space left on device"),
            "the disk is full; free space and run the same command again, which starts from the "
            "beginning",
        ),
        (OSError(122, "Disk quota exceeded"), "the disk quota is used up; free space and run"),
        (
            tf.errors.PermissionDeniedError(None, None, "{folder}/ckpt-4.index; Permission denied"),
            "cannot be written (permission denied); allow it and run the same command again",
        ),
        (
            tf.errors.NotFoundError(None, None, "{folder}/ckpt-4_temp; No such file or directory"),
            "a file or folder in it was removed; leave the folder alone and run the same command",
        ),
    ],
)
def test_a_failed_write_is_one_line(tmp_path, error, message):
    folder = str(tmp_path)
    if isinstance(error, tf.errors.OpError):
        error = type(error)(None, None, error.message.replace("{folder}", folder))
    expected = f"^{re.escape(f'{folder}: {message}')}"
    with pytest.raises(UserError, match=expected) as explained, explain_write_errors(folder):
        raise error
    assert "\n" not in str(explained.value)


def test_a_failed_read_of_other_files_is_not_called_a_failed_write(tmp_path):
    error = FileNotFoundError(2, "No such file or directory", "/corpus/train.tfrecord")
    with pytest.raises(FileNotFoundError), explain_write_errors(str(tmp_path)):
        raise error
