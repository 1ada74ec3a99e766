"""Records of finished tasks: one that is not whole, or whose files changed, does not count."""

import hashlib

import pytest

from rejoinder.pipelines.job import records

RECORD = records.Record(1.5, {"rows": hashlib.sha256(b"data").hexdigest()}, {"lines": 3})


@pytest.fixture
def staging(tmp_path):
    (tmp_path / records.FOLDER).mkdir()
    (tmp_path / "rows").write_bytes(b"data")
    records.write(str(tmp_path), "part-1", RECORD)
    return tmp_path


def test_a_record_is_read_back(staging):
    assert records.read(str(staging), "part-1") == RECORD
    assert records.read_intact(str(staging), "part-1") == RECORD
    assert records.names(str(staging)) == ["part-1"]
    assert list(records.heads(str(staging))) == [(1.5, dict(RECORD.files))]


def test_a_task_without_record_is_not_finished(staging):
    assert records.read_intact(str(staging), "part-2") is None


@pytest.mark.parametrize("content", [b"dat", b"Data", b"\0\0\0\0", None])
def test_a_record_does_not_count_if_its_file_changed(staging, content):
    (staging / "rows").unlink()
    if content is not None:
        (staging / "rows").write_bytes(content)
    assert records.read_intact(str(staging), "part-1") is None


@pytest.mark.parametrize("size", [0, 1, 40, 90])
def test_a_record_that_lost_its_end_does_not_count(staging, size):
    path = staging / records.FOLDER / "part-1"
    path.write_bytes(path.read_bytes()[:size])
    assert records.read(str(staging), "part-1") is None
    path.write_bytes(bytes(size))
    assert records.read(str(staging), "part-1") is None


def test_a_folder_without_records_has_none(tmp_path):
    assert records.names(str(tmp_path)) == []
    assert list(records.heads(str(tmp_path))) == []
