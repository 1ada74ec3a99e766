"""The lock on MODEL_DIR."""

import os
import signal
import subprocess
import sys

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.lock import LOCK, check_unlocked, hold_lock

HOLDER = """
import sys, time
from rejoinder.trainer.lock import hold_lock
with hold_lock(sys.argv[1]):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path):
    folder = str(tmp_path / "model")
    check_unlocked(folder)  # a missing folder is not locked, and is not created
    assert not (tmp_path / "model").exists()
    with hold_lock(folder):
        text = (tmp_path / "model" / LOCK).read_text()
        for take in (lambda: check_unlocked(folder), lambda: hold_lock(folder).__enter__()):
            with pytest.raises(UserError, match=rf"model: process {os.getpid()} trains here; "):
                take()
        assert (tmp_path / "model" / LOCK).read_text() == text
    check_unlocked(folder)
    with hold_lock(folder):
        pass


def test_a_killed_process_has_no_lock(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    with pytest.raises(UserError, match=rf"process {process.pid} trains here"):
        check_unlocked(str(tmp_path))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    check_unlocked(str(tmp_path))
    with hold_lock(str(tmp_path)):
        pass


def test_a_process_of_another_host_is_named_with_its_host(tmp_path):
    with hold_lock(str(tmp_path)):
        (tmp_path / LOCK).write_text("4711 elsewhere\n")
        with pytest.raises(UserError, match="process 4711 on elsewhere trains here"):
            check_unlocked(str(tmp_path))


def test_a_bucket_has_no_lock():
    check_unlocked("gs://bucket/model")
    with hold_lock("gs://bucket/model"):
        pass
