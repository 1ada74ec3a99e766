"""One specification for local folders, the Cloud Storage emulator and an S3 server."""

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from rejoinder import object_store, storage
from rejoinder.errors import UserError


@pytest.fixture(params=["local", "gs", "s3"])
def folder(request, tmp_path) -> str:
    """An empty folder of each kind of storage."""
    if request.param == "local":
        return str(tmp_path / "folder")
    return f"{request.getfixturevalue(request.param)}/{tmp_path.name}"


def _paths(folder: str, pattern: str) -> list[str]:
    return [e.path.removeprefix(f"{folder}/") for e in storage.glob(storage.join(folder, pattern))]


def test_what_is_written_is_read_back(folder):
    path = storage.join(folder, "a", "b [1] é#?.bin")
    for data in (b"", b"first", b"\x00second"):
        storage.write_bytes(path, data)
        assert storage.read_bytes(path) == data
        assert storage.size(path) == len(data)


def test_the_state_of_a_file_differs_when_it_was_changed(folder):
    assert storage.list_states(folder) == {}
    storage.write_bytes(storage.join(folder, "a", "b"), b"1")
    storage.write_bytes(storage.join(folder, "c"), b"22")
    first = storage.list_states(folder)
    assert {name: state.size for name, state in first.items()} == {"a/b": 1, "c": 2}
    assert storage.list_states(folder) == first
    time.sleep(0.02)  # longer than a tick of the file system's clock
    storage.write_bytes(storage.join(folder, "a", "b"), b"2")
    second = storage.list_states(folder)
    assert {name for name in first if first[name] != second[name]} == {"a/b"}


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_local_file_is_uploaded(scheme, request, tmp_path):
    path = storage.join(request.getfixturevalue(scheme), tmp_path.name, "a", "b")
    (tmp_path / "file").write_bytes(b"12345" * 1000)
    storage.upload(str(tmp_path / "file"), path)
    assert storage.read_bytes(path) == b"12345" * 1000
    missing = f"{scheme}://missing-bucket/a"
    with pytest.raises(UserError, match=f"^{missing}: cannot be written"):
        storage.upload(str(tmp_path / "file"), missing)


def test_a_file_is_replaced_completely_or_not_at_all(folder, monkeypatch):
    path = storage.join(folder, "a", "file")
    for data in (b"older", b"old"):
        storage.replace_bytes(path, data)
        assert storage.read_bytes(path) == data
    write = storage.write_bytes

    def fill_disk(file, data):
        write(file, data[:1])
        raise UserError(f"{file}: cannot be written (No space left on device)")

    monkeypatch.setattr(storage, "write_bytes", fill_disk)
    if storage.is_local(folder):
        with pytest.raises(UserError, match=r"a/file: cannot be written \(No space"):
            storage.replace_bytes(path, b"new")
        assert storage.read_bytes(path) == b"old"
    assert [entry.path for entry in storage.list_tree(folder)] == [path]


def test_a_large_file_is_read_in_blocks_and_can_be_sought(folder, monkeypatch):
    monkeypatch.setattr(object_store, "_BLOCK_BYTES", 1000)
    data = bytes(range(256)) * 40
    path = storage.join(folder, "large")
    storage.write_bytes(path, data)
    with storage.open_read(path) as file:
        pieces = list(iter(lambda: file.read(700), b""))
        assert b"".join(pieces) == data
        file.seek(-10, os.SEEK_END)
        assert file.read() == data[-10:]


def test_files_and_folders_exist_and_others_do_not(folder):
    path = storage.join(folder, "sub", "file")
    storage.write_bytes(path, b"1")
    assert storage.exists(path)
    assert storage.exists(storage.join(folder, "sub"))
    assert not storage.exists(storage.join(folder, "fil"))
    assert not storage.exists(storage.join(folder, "sub", "other"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("RC_*", ["RC_1.zst", "RC_2.zst"]),
        ("RC_?.zst", ["RC_1.zst", "RC_2.zst"]),
        ("RC_[2-9].*", ["RC_2.zst"]),
        ("*/RC_*", ["2015/RC_3.zst"]),
        ("**/RC_*", ["2015/RC_3.zst", "2015/old/RC_4.zst", "RC_1.zst", "RC_2.zst"]),
        ("2015/**", ["2015/RC_3.zst", "2015/old/RC_4.zst"]),
        ("RC_1.zst", ["RC_1.zst"]),
        ("x[1]", ["x[1]"]),
        ("2015", []),
        ("nothing", []),
        ("nothing/*", []),
    ],
)
def test_a_glob_matches_as_in_a_shell(folder, pattern, expected):
    for name in ("RC_2.zst", "RC_1.zst", "2015/RC_3.zst", "2015/old/RC_4.zst", "x1", "x[1]"):
        storage.write_bytes(storage.join(folder, name), b"12")
    assert _paths(folder, pattern) == expected
    assert all(entry.size == 2 for entry in storage.glob(storage.join(folder, pattern)))


def test_a_tree_is_listed_without_its_neighbours(folder):
    for name in ("tree/b", "tree/a/c", "tree2/d", "tree.txt"):
        storage.write_bytes(storage.join(folder, name), b"123")
    tree = storage.join(folder, "tree")
    expected = [storage.FileEntry(storage.join(tree, name), 3) for name in ("a/c", "b")]
    assert list(storage.list_tree(tree)) == expected
    assert list(storage.list_tree(f"{tree}/")) == expected
    assert list(storage.list_tree(storage.join(folder, "nowhere"))) == []


def test_a_rename_replaces_the_destination(tmp_path):
    source, destination = str(tmp_path / "a"), str(tmp_path / "b")
    storage.write_bytes(source, b"new")
    storage.write_bytes(destination, b"old")
    storage.rename(source, destination)
    assert storage.read_bytes(destination) == b"new"
    assert not storage.exists(source)


def test_files_are_written_together_and_replace_others(folder):
    for content in (b"old", b"newer"):
        files = {f"deep/{number} é": content * number for number in range(6)}
        storage.write_all(folder, files)
        found = {entry.path.removeprefix(f"{folder}/") for entry in storage.list_tree(folder)}
        assert found == set(files)
        assert storage.read_bytes(storage.join(folder, "deep/5 é")) == content * 5


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_objects_are_copied_together_over_others(scheme, request, tmp_path):
    folder = f"{request.getfixturevalue(scheme)}/{tmp_path.name}"
    storage.write_all(folder, {f"a/{number}": b"%d" % number for number in range(6)})
    copies = {f"{folder}/a/{number}": f"{folder}/b/{number} é" for number in range(6)}
    storage.write_bytes(f"{folder}/b/2 é", b"old")
    storage.copy_objects(copies)
    assert [storage.read_bytes(copies[f"{folder}/a/{n}"]) for n in (2, 5)] == [b"2", b"5"]
    assert len(list(storage.list_tree(folder))) == 12
    storage.copy_objects({})
    with pytest.raises(UserError, match=r"b/0 é and 6 more: not all were written \(.+\)"):
        storage.copy_objects(copies | {f"{folder}/missing": f"{folder}/c"})


def test_files_are_deleted_and_missing_ones_ignored(folder):
    paths = [storage.join(folder, f"{number} [*]") for number in range(5)]
    for path in paths:
        storage.write_bytes(path, b"1")
    storage.delete([*paths[1:], storage.join(folder, "missing")])
    assert [entry.path for entry in storage.list_tree(folder)] == paths[:1]
    storage.delete([])


def test_a_change_by_another_process_is_seen(folder):
    path = storage.join(folder, "a")
    assert not storage.exists(path)
    assert _paths(folder, "*") == []
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(storage.write_bytes, (path, b"1"))
    assert storage.exists(path)
    assert _paths(folder, "*") == ["a"]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_threads_and_forked_processes_can_read(folder):
    path = storage.join(folder, "a")
    storage.write_bytes(path, b"1")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(storage.read_bytes, [path] * 8)) == [b"1"] * 8
    child = os.fork()
    if not child:
        os._exit(storage.read_bytes(path) != b"1")
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (storage.open_read, r"missing: cannot be opened \(No such file or directory\)"),
        (storage.read_bytes, r"missing: cannot be opened \(No such file or directory\)"),
        (storage.size, r"missing: cannot be read \(No such file or directory\)"),
    ],
)
def test_a_missing_file_is_named(folder, call, message):
    storage.make_folder(folder)
    with pytest.raises(UserError, match=message):
        call(storage.join(folder, "missing"))


def test_a_missing_file_that_is_renamed_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing2: cannot be written \(No such"):
        storage.rename(str(tmp_path / "missing"), str(tmp_path / "missing2"))


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_an_object_that_disappears_while_it_is_read_is_an_os_error(scheme, request, tmp_path):
    path = storage.join(request.getfixturevalue(scheme), tmp_path.name, "a")
    storage.write_bytes(path, b"1" * 10)
    with storage.open_read(path) as file:
        storage.delete([path])
        with pytest.raises(OSError, match=r"a\?alt=media|key does not exist"):
            file.read()


def test_a_client_s_exception_while_reading_is_an_os_error(monkeypatch):
    def fetch(start, end):
        raise RuntimeError("connection lost")

    file = SimpleNamespace(cache=SimpleNamespace(fetcher=fetch))
    store = SimpleNamespace(open=lambda *args, **options: file)
    monkeypatch.setattr(object_store, "filesystem", lambda path: store)
    with pytest.raises(OSError, match="connection lost"):
        storage.open_read("gs://b/a").cache.fetcher(0, 10)


@pytest.mark.parametrize(
    "path", ["hdfs://host/a", "http://host/a", "file:///a", "gcs://bucket/a", "://a"]
)
@pytest.mark.parametrize(
    "call", [storage.open_read, storage.exists, storage.glob, storage.make_folder]
)
def test_other_schemes_are_refused(path, call):
    scheme = path.partition("://")[0]
    with pytest.raises(UserError, match=f"{scheme}:// is not supported; give a local path, gs://"):
        call(path)


def test_the_path_of_a_file_link_and_a_download_are_proposed():
    with pytest.raises(UserError, match=r"^file:///a/b: file:// is not supported; .*; here /a/b$"):
        storage.glob("file:///a/b")
    with pytest.raises(UserError, match=r"^https://host/RC: .*; download it first$"):
        storage.glob("https://host/RC")


def test_s3_without_its_package_names_the_extra(monkeypatch, store_environment):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with (
        store_environment(),
        pytest.raises(
            UserError, match=r"^s3://bucket/a: s3:// paths need the s3 extra: pip install"
        ),
    ):
        storage.exists("s3://bucket/a")


@pytest.mark.parametrize("pattern", ["gs://buck*/RC_1", "s3://*"])
def test_a_wildcard_for_a_bucket_is_refused(pattern):
    with pytest.raises(UserError, match="the bucket must be named without a wildcard"):
        storage.glob(pattern)


def test_a_store_that_does_not_answer_is_not_an_empty_one(monkeypatch):
    def info(path):
        raise RuntimeError("401, Invalid Credentials\nlong")

    monkeypatch.setattr(object_store, "filesystem", lambda path: SimpleNamespace(info=info))
    with pytest.raises(UserError, match=r"^gs://b/a: cannot be read \(401, Invalid Credentials\)$"):
        storage.exists("gs://b/a")


def test_a_short_write_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "size", lambda path: 3)
    with pytest.raises(UserError, match="3 of 5 bytes were stored; is the disk full"):
        storage.write_bytes(str(tmp_path / "a"), b"12345")


def test_a_tree_is_synchronized_files_first(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    opened, real = [], os.open
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append(path) or real(path, flags))
    storage.sync_tree(str(tmp_path))
    assert opened.index(str(tmp_path / "a" / "b")) < opened.index(str(tmp_path / "a"))
    assert str(tmp_path) in opened


def test_a_failed_sync_is_raised(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        storage.sync(str(tmp_path))


def test_the_import_loads_no_client():
    code = (
        "import sys; from rejoinder import storage; storage.exists('.');"
        "print([m for m in ('gcsfs', 's3fs', 'fsspec', 'apache_beam') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
