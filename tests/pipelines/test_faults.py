"""Whatever fails, the end is an error and nothing that looks finished; then a re-run works."""

import builtins
import errno
import fcntl
import os
from pathlib import Path

import pytest

from rejoinder import publishing, storage
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.output import check_replaceable
from rejoinder.pipelines import preprocess as preprocess_command
from rejoinder.pipelines import verify
from rejoinder.pipelines.publish import publish
from rejoinder.pipelines.testing import dialogue, ndjson
from rejoinder.staging import MARKER, lock_staging


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "in" / "RC"
    path.parent.mkdir()
    path.write_bytes(ndjson(dialogue(60)))
    return path


def shards(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tfrecord-*")}


class FullDisk:
    """A file that takes some bytes and then no more."""

    def __init__(self, file, room: int) -> None:
        self._file, self._room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: bytes) -> int:
        if self._file.tell() + len(data) > self._room:
            self._file.write(data[: max(self._room - self._file.tell(), 0)])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)


@pytest.mark.parametrize("failing", [0, 1, 5, 9, 15])
def test_a_disk_that_is_full_at_the_nth_file(dump, preprocess, tmp_path, monkeypatch, failing):
    expected = shards(preprocess(dump, output="undisturbed"))
    real, count = builtins.open, 0

    def full(path, mode="r", *args, **kwargs):
        nonlocal count
        file = real(path, mode, *args, **kwargs)
        if mode != "wb" or "corpus.staging/" not in str(path) or "/shuffle/" in str(path):
            return file
        count += 1
        return FullDisk(file, 10) if count > failing else file

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", full)
        with pytest.raises(UserError, match=r"cannot be written \(.*No space left on device"):
            preprocess(dump)
    assert count > failing
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "undisturbed"]
    assert shards(preprocess(dump)) == expected


def test_a_disk_that_is_full_during_the_shuffle(dump, preprocess, tmp_path, monkeypatch):
    real = builtins.open

    def full(path, mode="r", *args, **kwargs):
        file = real(path, mode, *args, **kwargs)
        return FullDisk(file, 10) if "/shuffle/" in str(path) and "w" in mode else file

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(UserError, match=r"shuffle/.*cannot be written \(No space left on device\)"):
        preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_file_system_that_stores_less_than_it_was_given(dump, preprocess, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "size", lambda path: 3)
    with pytest.raises(UserError, match=r"3 of .* bytes were stored; is the disk full"):
        preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_an_error_while_a_corpus_is_replaced_leaves_the_old_one(
    dump, preprocess, tmp_path, monkeypatch
):
    folder = preprocess(dump)
    before = shards(folder)
    rename = os.rename

    def failing(source, destination):
        if str(source).endswith("ready"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(UserError, match=r"corpus: cannot be published .*Input/output error"):
            preprocess(dump, arguments=["--overwrite", "--num-shards", "2"])
    assert shards(folder) == before
    assert list(verify.problems(str(folder))) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "in"]


@pytest.mark.parametrize("call", ["os.replace", "os.fsync", "os.rename"])
def test_a_file_system_that_fails_while_publishing(dump, preprocess, tmp_path, monkeypatch, call):
    name = call.split(".")[1]
    real, count = getattr(os, name), 0

    def failing(*args):
        nonlocal count
        count += 1
        if count == (1 if name == "rename" else 3):
            raise OSError(errno.EIO, "Input/output error")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(UserError, match=r"corpus: cannot be published .*run again"):
            preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert list(verify.problems(str(preprocess(dump)))) == []


def test_a_run_that_died_between_the_two_renames_is_undone_by_the_next(dump, preprocess, tmp_path):
    folder = preprocess(dump)
    before = shards(folder)
    staging = tmp_path / "corpus.staging"
    staging.mkdir()
    (staging / MARKER).touch()
    folder.rename(staging / "replaced")
    with (
        pytest.raises(UserError, match="holds a finished corpus"),
        lock_staging(str(folder)),
    ):
        check_replaceable(str(folder), CORPUS, overwrite=False)
    assert shards(folder) == before


def test_what_a_killed_run_left_is_removed(dump, preprocess, tmp_path):
    staging = tmp_path / "corpus.staging"
    (staging / "ready").mkdir(parents=True)
    (staging / MARKER).touch()
    (staging / "ready" / "COMPLETED").touch()
    (staging / "shard-of-old").write_bytes(b"old")
    folder = preprocess(dump)
    assert list(verify.problems(str(folder))) == []
    assert not staging.exists()


def test_two_runs_for_one_output_do_not_mix(dump, preprocess, tmp_path):
    staging = tmp_path / "corpus.staging"
    staging.mkdir()
    descriptor = os.open(staging, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(UserError, match="another run is writing this output"):
            preprocess(dump)
    finally:
        os.close(descriptor)
    assert load_manifest(str(preprocess(dump))).examples("train")


def test_a_file_system_without_locks(dump, preprocess, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\)"):
        preprocess(dump)


def test_leftovers_that_cannot_be_removed(dump, preprocess, tmp_path, monkeypatch):
    left = tmp_path / "corpus.staging" / "staged-1"
    left.parent.mkdir()
    left.touch()
    (left.parent / MARKER).touch()

    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", denied)
    with pytest.raises(UserError, match=r"staged-1: cannot be removed \(Permission denied\)"):
        preprocess(dump)


def test_publication_can_be_repeated_by_a_runner_that_retries(dump, preprocess, monkeypatch):
    """Dataflow runs a failed step up to four times."""
    real = publish.publish
    attempts = []

    def twice(*args, **kwargs):
        attempts.append(1)
        with monkeypatch.context() as patch:
            patch.setattr(storage, "sync_tree", lambda folder: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                real(*args, **kwargs)
        real(*args, **kwargs)

    monkeypatch.setattr(publish, "publish", twice)
    folder = preprocess(dump)
    assert attempts
    assert list(verify.problems(str(folder))) == []


@pytest.mark.parametrize(
    ("operation", "nth"),
    [
        (name, nth)
        for name, last in [("rm_file", 2), ("cp_file", 3), ("pipe_file", 4)]
        for nth in (1, last)
    ],
)
def test_an_object_store_that_fails_while_a_corpus_is_replaced(
    dump, preprocess, local_objects, monkeypatch, operation, nth
):
    expected = shards(preprocess(dump, output="undisturbed"))
    folder = preprocess(dump, arguments=["--num-shards", "3"])
    real, count = getattr(local_objects, operation), 0

    def failing(path, *args, **kwargs):
        nonlocal count
        changed = args[0] if operation == "cp_file" else path
        if changed.startswith(f"{folder}/"):
            count += 1
            if count == nth:
                raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(local_objects, operation, failing)
        with pytest.raises(UserError, match="Input/output error"):
            preprocess(dump, arguments=["--overwrite"])
    finished = (folder / "COMPLETED").exists()
    assert finished == (operation == "rm_file" and nth == 1), "only before the first change"
    if finished:
        assert list(verify.problems(str(folder))) == []
    assert shards(preprocess(dump, arguments=["--overwrite"])) == expected
    assert list(verify.problems(str(folder))) == []
    assert list(storage.list_tree(f"{folder}.staging")) == []


def test_a_staged_shard_that_is_missing_is_not_published(dump, preprocess, monkeypatch, store):
    folder = preprocess(dump)
    before = shards(folder)
    real = publishing.publish

    def without_one(output, staging, kind, *, moves, **options):
        name = max(name for name in moves if name.startswith("test."))
        Path(moves[name].staged).unlink()
        real(output, staging, kind, moves=moves, **options)

    monkeypatch.setattr(publishing, "publish", without_one)
    for output, arguments in [("new", []), ("corpus", ["--overwrite", "--num-shards", "2"])]:
        message = rf"{output}: test\.tfrecord-\S+ was not published, because its staged file \S+"
        with pytest.raises(UserError, match=message):
            preprocess(dump, output=output, arguments=arguments)
    assert not (folder.parent / "new" / "COMPLETED").exists()
    assert shards(folder) == before
    assert list(verify.problems(str(folder))) == []


def test_a_folder_of_the_user_with_the_name_of_the_staging_folder_is_kept(
    dump, preprocess, tmp_path, store
):
    (tmp_path / "corpus.staging").mkdir()
    (tmp_path / "corpus.staging" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        UserError, match=r"corpus\.staging: holds thesis\.tex, and files are staged"
    ):
        preprocess(dump, arguments=["--overwrite"])
    assert (tmp_path / "corpus.staging" / "thesis.tex").read_text() == "years of work"
    assert not (tmp_path / "corpus").exists()


def test_a_file_that_the_job_did_not_write_protects_the_folder(dump, preprocess, store):
    folder = preprocess(dump)
    before = shards(folder)
    for name in ("thesis.tex", "rejects/thesis.tex"):
        (folder / name).write_text("years of work")
        for arguments in ([], ["--overwrite"]):
            message = f"corpus: holds {name}, which is not a file of the corpus there"
            with pytest.raises(UserError, match=message) as caught:
                preprocess(dump, arguments=arguments)
            assert "--overwrite" not in str(caught.value)
        assert (folder / name).read_text() == "years of work"
        (folder / name).unlink()
    assert shards(folder) == before


@pytest.mark.parametrize("arguments", [[], ["--overwrite"]])
@pytest.mark.parametrize("output", ["", ".", "..", "in", "in/..", "link", "~/corpus", "gs:/corpus"])
def test_a_folder_with_files_of_the_user_is_never_replaced(
    dump, tmp_path, monkeypatch, tokenizer_folder, output, arguments
):
    folder = tmp_path / "one" / "two" / "three"
    (folder / "home").mkdir(parents=True)
    dump.parent.rename(folder / "in")
    (folder / "link").symlink_to("in")
    (folder / "home" / "thesis.tex").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    before = sorted(tmp_path.rglob("*"))
    command = ["--input", "in/RC", "--output", output, "--tokenizer", tokenizer_folder]
    with pytest.raises(UserError, match=r"^--output"):
        preprocess_command.main([*command, *arguments])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_is_written_behind_and_stays(dump, preprocess, tmp_path):
    (tmp_path / "large" / "disk").mkdir(parents=True)
    (tmp_path / "corpus").symlink_to("large/disk")
    for arguments in ([], ["--overwrite"]):
        folder = preprocess(dump, arguments=arguments)
        assert folder.is_symlink()
        assert load_manifest(str(tmp_path / "large" / "disk")).name == "corpus"
    assert sorted(p.name for p in (tmp_path / "large").iterdir()) == ["disk"]


def test_a_file_that_appears_during_the_job_is_kept(dump, preprocess, monkeypatch):
    folder = preprocess(dump)
    real = publishing.publish

    def with_note(*args, **kwargs):
        (folder / "note").write_text("written meanwhile")
        real(*args, **kwargs)

    monkeypatch.setattr(publishing, "publish", with_note)
    with pytest.raises(UserError, match="holds note, which is not a file of the corpus there"):
        preprocess(dump, arguments=["--overwrite"])
    assert (folder / "note").read_text() == "written meanwhile"
