"""Publishing: all of a version or nothing, and never over another."""

import subprocess
import sys
import time

import pytest

from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import publish, versions


def write_file(folder):
    (folder / "saved_model.pb").write_text("model")


def test_versions_count_up_from_one(tmp_path):
    assert publish(tmp_path / "m", write_file) == tmp_path / "m/1"
    assert publish(tmp_path / "m", write_file) == tmp_path / "m/2"
    assert versions(tmp_path / "m") == [1, 2]


def test_other_names_are_not_versions(tmp_path):
    for name in ("3", "x", "4.tmp", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    assert versions(tmp_path) == [3]


def test_a_published_version_is_never_overwritten(tmp_path):
    publish(tmp_path, write_file, version=7)
    with pytest.raises(UserError, match="never overwritten"):
        publish(tmp_path, lambda folder: None, version=7)
    assert (tmp_path / "7/saved_model.pb").read_text() == "model"


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail(folder):
        write_file(folder)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        publish(tmp_path, fail)
    assert versions(tmp_path) == []
    assert list(tmp_path.glob(".export-*/")) == []


@pytest.mark.parametrize("name", [".export-notes", f".export-{'0' * 32}", ".export-old/1"])
def test_a_folder_that_no_export_made_is_kept(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "thesis.tex").write_text("years of work")
    (tmp_path / ".export.lock").write_text(f"../{tmp_path.name}\n.\n..\n.export-notes\n")
    publish(tmp_path, write_file)
    publish(tmp_path, write_file)
    assert (tmp_path / name / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "2" / "saved_model.pb").exists()


HANGING_EXPORT = """
import sys, time, pathlib
from rejoinder.models.saved_model.publish import publish

def write(folder):
    (folder / "saved_model.pb").write_text("model")
    time.sleep(60)

publish(pathlib.Path(sys.argv[1]), write)
"""


def test_a_killed_export_leaves_no_version_and_the_next_one_cleans_up(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HANGING_EXPORT, str(tmp_path)])
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".export-*/saved_model.pb")) and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(UserError, match="another export"):
        publish(tmp_path, write_file)
    process.kill()
    process.wait()
    assert list(tmp_path.glob(".export-*/saved_model.pb"))
    assert versions(tmp_path) == []
    assert publish(tmp_path, write_file) == tmp_path / "1"
    assert list(tmp_path.glob(".export-*/")) == []
