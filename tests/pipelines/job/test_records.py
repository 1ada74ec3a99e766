"""Records of finished tasks: one that is not whole, or whose files changed, does not count."""

import hashlib

import google_crc32c
import pytest

from rejoinder.pipelines.job import records

DIGESTS = {
    "sha256": hashlib.sha256(b"data").hexdigest(),
    "crc32c": records.crc32c_digest(google_crc32c.value(b"data")),
}


@pytest.fixture(params=DIGESTS.values(), ids=DIGESTS)
def record(request):
    return records.Record(1.5, {"rows": request.param}, {"lines": 3})


@pytest.fixture
def staging(tmp_path, record):
    (tmp_path / records.FOLDER).mkdir()
    (tmp_path / "rows").write_bytes(b"data")
    records.write(str(tmp_path), "part-1", record)
    return tmp_path


def test_a_record_is_read_back(staging, record):
    assert records.read(str(staging), "part-1") == record
    assert records.read_intact(str(staging), "part-1") == record
    assert records.names(str(staging)) == ["part-1"]
    assert list(records.heads(str(staging))) == [(1.5, dict(record.files))]


def test_a_task_without_record_is_not_finished(staging):
    assert records.read_intact(str(staging), "part-2") is None


@pytest.mark.parametrize("content", [b"dat", b"Data", b"\0\0\0\0", None])
def test_a_record_does_not_count_if_its_file_changed(staging, content):
    (staging / "rows").unlink()
    if content is not None:
        (staging / "rows").write_bytes(content)
    assert records.read_intact(str(staging), "part-1") is None


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.75, 0.97])
def test_a_record_that_lost_its_end_does_not_count(staging, share):
    path = staging / records.FOLDER / "part-1"
    content = path.read_bytes()
    size = int(share * len(content))
    path.write_bytes(content[:size])
    assert records.read(str(staging), "part-1") is None
    path.write_bytes(bytes(size))
    assert records.read(str(staging), "part-1") is None


def test_a_folder_without_records_has_none(tmp_path):
    assert records.names(str(tmp_path)) == []
    assert list(records.heads(str(tmp_path))) == []
