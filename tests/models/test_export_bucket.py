"""Versions in buckets: all of one or nothing, and never over another."""

import pytest

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.bucket import publish_in_bucket
from rejoinder.models.saved_model.publish import versions

FILES = {"saved_model.pb": b"graph", "variables/data": b"1" * 1000, "manifest.json": b"{}"}


@pytest.fixture(params=["gs", "s3"])
def base(request, tmp_path):
    return f"{request.getfixturevalue(request.param)}/{tmp_path.name}"


def write(folder):
    for name, data in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


def publish(base, version, writer=write):
    return publish_in_bucket(base, writer, version=version, last="manifest.json")


def names(base):
    return sorted(entry.path.removeprefix(f"{base}/") for entry in storage.list_tree(base))


def test_a_version_is_published_and_never_overwritten(base):
    assert publish(base, 1) == f"{base}/1"
    assert publish(base, 3) == f"{base}/3"
    assert versions(base) == [1, 3]
    assert names(base) == sorted(f"{number}/{name}" for number in (1, 3) for name in FILES)
    for name, data in FILES.items():
        assert storage.read_bytes(f"{base}/1/{name}") == data
    with pytest.raises(UserError, match=rf"^{base}/1: exists, and a published version is never"):
        publish(base, 1, lambda folder: None)


def test_the_graph_comes_after_the_weights_and_the_manifest_last(base, monkeypatch):
    order = []
    write_all, write_bytes = storage.write_all, storage.write_bytes
    copy_objects = storage.copy_objects

    def note(function):
        def call(first, *rest):
            paths = [first, *rest]
            order.extend(name for name in FILES if any(name in str(path) for path in paths))
            return function(first, *rest)

        return call

    monkeypatch.setattr(storage, "copy_objects", note(copy_objects))
    monkeypatch.setattr(storage, "write_all", note(write_all))
    monkeypatch.setattr(
        storage,
        "write_bytes",
        lambda path, data: note(write_bytes)(path, data) if "publication" not in path else None,
    )
    publish(base, 1)
    assert order == ["variables/data", "saved_model.pb", "manifest.json"]


def test_an_export_that_ended_early_can_be_repeated(base, monkeypatch):
    write_bytes = storage.write_bytes

    def fail(path, data):
        if path.endswith("/manifest.json"):
            raise UserError("connection lost")
        write_bytes(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", fail)
        with pytest.raises(UserError, match="connection lost"):
            publish(base, 1)
    assert not storage.exists(f"{base}/1/manifest.json")
    publish(base, 1)
    assert names(base) == sorted(f"1/{name}" for name in FILES)


def test_a_failed_write_leaves_nothing_of_the_version(base):
    def fail(folder):
        write(folder)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        publish(base, 1, fail)
    assert versions(base) == []


def test_files_that_no_export_wrote_are_kept(base):
    storage.write_bytes(f"{base}/1/thesis.tex", b"years of work")
    with pytest.raises(UserError, match=r"1: holds thesis.tex and no finished model version"):
        publish(base, 1)
    storage.write_bytes(f"{base}/2.staging/thesis.tex", b"years of work")
    with pytest.raises(UserError, match=r"2.staging: holds thesis.tex, and files are staged"):
        publish(base, 2)
    assert names(base) == ["1/thesis.tex", "2.staging/thesis.tex"]
