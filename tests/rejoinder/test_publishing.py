"""Staging and publication of a folder, locally and in an object store, at every failure."""

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.output import FolderKind, check_replaceable, staging_folder
from rejoinder.publishing import Move, publish
from rejoinder.staging import MARKER, REPLACED, lock_staging, restore


def listed(folder):
    path = storage.join(folder, "list")
    return set(storage.read_bytes(path).decode().split()) if storage.exists(path) else None


KIND = FolderKind("demo", listed)


def contents(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def stage_files(staging: str, files: dict[str, bytes]) -> dict[str, Move]:
    moves = {}
    for number, (name, data) in enumerate(files.items()):
        path = storage.join(staging, f"staged-{number}-{os.urandom(4).hex()}")
        storage.write_bytes(path, data)
        moves[name] = Move(path, len(data))
    return moves


def write(output, files, *, overwrite=False, before_publish=lambda moves: None):
    """Writes a demo folder as the commands do; returns what must be in it."""
    check_replaceable(str(output), KIND, overwrite=overwrite)
    text = "\n".join(["list", "note", *files]).encode()
    with lock_staging(str(output)) as staging:
        moves = stage_files(staging, files)
        before_publish(moves)
        documents = {"note": b"a note", "list": text}
        options = {"overwrite": overwrite, "moves": moves, "documents": documents, "last": "list"}
        publish(str(output), staging, KIND, **options)
    return {**files, "note": b"a note", "list": text}


OLD = {"a": b"old a", "sub/b": b"old b", "c": b"old c"}
NEW = {"a": b"new a", "sub/b": b"new b", "d": b"new d"}


def test_a_folder_appears_and_is_replaced(tmp_path, store):
    output = tmp_path / "out"
    expected = write(output, OLD)
    assert contents(output) == expected
    with pytest.raises(UserError, match="holds a finished demo"):
        write(output, NEW)
    assert contents(output) == expected
    expected = write(output, NEW, overwrite=True)
    assert contents(output) == expected
    assert contents(staging_folder(str(output))) == {}


@pytest.mark.parametrize("missing", sorted(NEW))
@pytest.mark.parametrize("change", ["removed", "shorter", "longer"])
def test_nothing_is_published_without_each_staged_file(tmp_path, store, missing, change):
    output = tmp_path / "out"
    expected = write(output, OLD)

    def damage(moves):
        path = Path(moves[missing].staged)
        if change == "removed":
            path.unlink()
        else:
            path.write_bytes(b"x" * (moves[missing].bytes + (1 if change == "longer" else -1)))

    for folder in (output, tmp_path / "other"):
        with pytest.raises(UserError, match=f"{missing} was not published, because its staged"):
            write(folder, NEW, overwrite=True, before_publish=damage)
    assert contents(output) == expected
    assert contents(tmp_path / "other") == {}


@pytest.mark.parametrize("call", ["replace", "rename", "fsync"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_the_old_folder_stays_if_the_file_system_fails(tmp_path, monkeypatch, call, nth):
    output = tmp_path / "out"
    expected = write(output, OLD)
    real, count = getattr(os, call), 0

    def failing(*arguments):
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with contextlib.suppress(UserError):
            expected = write(output, NEW, overwrite=True)
    assert contents(output) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_between_the_two_renames_puts_the_old_folder_back(
    tmp_path, monkeypatch, exception
):
    output = tmp_path / "out"
    expected = write(output, OLD)
    real = os.rename

    def interrupted(source, target):
        if str(source).endswith("ready"):
            raise exception
        real(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(exception):
        write(output, NEW, overwrite=True)
    assert contents(output) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_process_killed_between_the_two_renames_is_undone_by_the_next(tmp_path):
    output, staging = tmp_path / "out", tmp_path / "out.staging"
    expected = write(output, OLD)
    (staging / "ready").mkdir(parents=True)
    (staging / MARKER).touch()
    output.rename(staging / REPLACED)
    with lock_staging(str(output)):
        assert contents(output) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_command_that_reads_the_folder_first_puts_it_back(tmp_path):
    output, staging = tmp_path / "out", tmp_path / "out.staging"
    restore(str(output))  # there is none
    expected = write(output, OLD)
    (staging / "finished").mkdir(parents=True)
    output.rename(staging / REPLACED)
    restore(f"{output}/")
    assert contents(output) == expected
    assert [path.name for path in staging.iterdir()] == ["finished"]  # to continue with


@pytest.mark.parametrize("operation", ["cp_file", "rm_file", "pipe_file"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_an_object_store_that_fails_leaves_a_folder_that_the_next_run_replaces(
    tmp_path, local_objects, monkeypatch, operation, nth
):
    output = tmp_path / "out"
    before = write(output, OLD)
    real, count = getattr(local_objects, operation), 0

    def failing(*arguments, **options):
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(local_objects, operation, failing)
        with contextlib.suppress(UserError):
            write(output, NEW, overwrite=True)
    after = contents(output)
    assert after == before or "list" not in after or NEW.items() <= after.items()
    expected = write(output, NEW, overwrite=True)
    assert contents(output) == expected
    assert contents(staging_folder(str(output))) == {}


def test_a_file_beside_an_interrupted_publication_is_kept(tmp_path, local_objects, monkeypatch):
    output = tmp_path / "out"
    write(output, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(local_objects, "cp_file", lambda *arguments: 1 / 0)
        with pytest.raises(UserError, match="division"):
            write(output, NEW, overwrite=True)
    assert not (output / "list").exists()
    (output / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds thesis\.tex and no finished demo"):
        write(output, NEW, overwrite=True)
    (output / "thesis.tex").unlink()
    assert contents(output) != write(output, NEW)


def test_a_second_attempt_does_not_take_an_old_file_for_a_new_one(
    tmp_path, local_objects, monkeypatch
):
    """The names and sizes of the old files are those of the new ones."""
    output = tmp_path / "out"
    write(output, OLD)
    real, count = local_objects.cp_file, 0

    def failing(*arguments, **options):
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments, **options)

    check_replaceable(str(output), KIND, overwrite=True)
    with lock_staging(str(output)) as staging:
        moves = stage_files(staging, NEW)
        options = {"overwrite": True, "moves": moves, "documents": {"list": b"list a sub/b d"}}
        with monkeypatch.context() as patch:
            patch.setattr(local_objects, "cp_file", failing)
            with pytest.raises(UserError, match="Input/output error"):
                publish(str(output), staging, KIND, **options, last="list")
        Path(moves["sub/b"].staged).unlink()
        with pytest.raises(UserError, match="sub/b was not published"):
            publish(str(output), staging, KIND, **options, last="list")
        storage.write_bytes(moves["sub/b"].staged, NEW["sub/b"])
        publish(str(output), staging, KIND, **options, last="list")
    assert contents(output) == {**NEW, "list": b"list a sub/b d"}


def test_a_call_after_one_that_succeeded_changes_nothing(tmp_path, store):
    output = tmp_path / "out"
    with lock_staging(str(output)) as staging:
        options = {"moves": stage_files(staging, NEW), "documents": {"list": b"list a sub/b d"}}
        for _ in range(2):
            publish(str(output), staging, KIND, overwrite=False, **options, last="list")
    assert contents(output) == {**NEW, "list": b"list a sub/b d"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_call_after_one_that_failed_to_remove_its_staged_files_succeeds(
    tmp_path, local_objects, monkeypatch, overwrite
):
    output = tmp_path / "out"
    with lock_staging(str(output)) as staging:
        options = {"moves": stage_files(staging, NEW), "documents": {"list": b"list a sub/b d"}}
        for failing in (True, False):
            with monkeypatch.context() as patch, contextlib.suppress(UserError):
                if failing:
                    patch.setattr(local_objects, "rm_file", lambda path: 1 / 0)
                publish(str(output), staging, KIND, overwrite=overwrite, **options, last="list")
                assert not failing
    assert contents(output) == {**NEW, "list": b"list a sub/b d"}
    assert contents(staging_folder(str(output))) == {}


def test_a_call_with_overwrite_repairs_a_damaged_file_of_an_equal_folder(tmp_path, store):
    output = tmp_path / "out"
    expected = write(output, NEW)
    (output / "a").write_bytes(b"NEW A")
    assert write(output, NEW, overwrite=True) == expected
    assert contents(output) == expected


def test_an_object_that_was_not_copied_is_missed_before_the_folder_is_finished(
    tmp_path, local_objects, monkeypatch
):
    output = tmp_path / "out"
    real = local_objects.cp_file
    monkeypatch.setattr(
        local_objects,
        "cp_file",
        lambda source, target: None if target.endswith("/b") else real(source, target),
    )
    with pytest.raises(UserError, match=r"sub/b was not published, because its copy .*sub/b is"):
        write(output, NEW)
    assert not (output / "list").exists()


def test_objects_are_copied_and_deleted_many_at_a_time(tmp_path, local_objects, monkeypatch):
    together = {name: threading.Barrier(16, timeout=20) for name in ("cp_file", "rm_file")}
    real = {name: getattr(local_objects, name) for name in together}
    for name in together:

        def slow(*paths, name=name):
            if "staged-" in paths[0]:
                together[name].wait()
            return real[name](*paths)

        monkeypatch.setattr(local_objects, name, slow)
    files = {f"{number}": b"%d" % number for number in range(32)}
    expected = write(tmp_path / "out", files)
    assert contents(tmp_path / "out") == expected


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, store):
    output = tmp_path / "out"
    write(output, OLD)
    with pytest.raises(UserError, match="holds note2, which is not a file of the demo there"):
        write(output, NEW, overwrite=True, before_publish=lambda moves: (output / "note2").touch())
    assert (output / "note2").exists()
    assert (output / "a").read_bytes() == b"old a"


def test_a_staging_folder_that_holds_files_of_the_user_is_kept(tmp_path, store):
    (tmp_path / "out.staging" / "sub").mkdir(parents=True)
    (tmp_path / "out.staging" / "sub" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"out\.staging: holds sub/thesis\.tex"):
        write(tmp_path / "out", NEW)
    assert (tmp_path / "out.staging" / "sub" / "thesis.tex").exists()


def test_an_empty_staging_folder_and_one_of_a_killed_run_are_used(tmp_path):
    (tmp_path / "out.staging").mkdir()
    write(tmp_path / "out", NEW)
    (tmp_path / "out.staging").mkdir()
    (tmp_path / "out.staging" / MARKER).touch()
    (tmp_path / "out.staging" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "out.staging" / "staged-1").touch()
    expected = write(tmp_path / "out", OLD, overwrite=True)
    assert contents(tmp_path / "out") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_runs_for_one_output_do_not_mix(tmp_path):
    with (
        lock_staging(str(tmp_path / "out")),
        pytest.raises(UserError, match="another run is writing this output"),
        lock_staging(str(tmp_path / "out")),
    ):
        pass


def test_a_file_system_without_locks_is_an_error(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\)"):
        write(tmp_path / "out", NEW)


def test_a_kill_while_a_staging_folder_is_emptied_leaves_one_that_the_next_run_empties(
    tmp_path, monkeypatch
):
    staging = tmp_path / "out.staging"
    staging.mkdir()
    for name in (MARKER, "staged-1", "staged-2", "staged-3"):
        (staging / name).touch()
    real, scandir, count = os.unlink, os.scandir, 0

    def killed(path):
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        real(path)

    with monkeypatch.context() as patch:
        # The marker comes first by name.
        patch.setattr(os, "scandir", lambda path: sorted(scandir(path), key=lambda e: e.name))
        patch.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "out", NEW)
    assert len(list(staging.iterdir())) == 3
    assert contents(tmp_path / "out") == {}
    expected = write(tmp_path / "out", NEW)
    assert contents(tmp_path / "out") == expected
