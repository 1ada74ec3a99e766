"""What a quickstart replaces, and what comes back if a step fails."""

import json
import os

import pytest

from rejoinder.errors import UserError
from rejoinder.quickstart import folder
from rejoinder.quickstart.folder import MARKER, PREVIOUS_SUFFIX, output_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A current folder and a home folder, three deep in a temporary tree."""
    current = tmp_path / "one" / "two" / "three"
    (current / "home").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(current / "home"))
    monkeypatch.chdir(current)
    return current


def run(output="out", *, content="new", fail=None, inputs=()):
    """Writes a file in each folder as the steps do."""
    with output_folder(str(output), inputs) as out:
        assert list(out.iterdir()) == []
        for name in folder.FOLDERS:
            (out / name / "sub").mkdir(parents=True)
            (out / name / "sub" / "file").write_text(content)
        if fail:
            raise fail


def contents(path):
    return {
        str(file.relative_to(path)): file.read_text()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != MARKER
    }


FILES = {f"{name}/sub/file" for name in folder.FOLDERS}


def test_a_finished_quickstart_is_replaced_by_the_next(place):
    for content in ("old", "new"):
        run(content=content)
        assert contents(place / "out") == dict.fromkeys(sorted(FILES), content)
    assert sorted(path.name for path in place.iterdir()) == ["home", "out"]


@pytest.mark.parametrize("fail", [UserError("a step failed"), KeyboardInterrupt(), OSError()])
def test_the_finished_one_comes_back_if_a_step_fails(place, fail):
    run(content="old")
    before = contents(place / "out")
    with pytest.raises(type(fail)):
        run(fail=fail)
    assert contents(place / "out") == before
    assert sorted(path.name for path in place.iterdir()) == ["home", "out"]
    run(content="new")
    assert set(contents(place / "out").values()) == {"new"}


def test_the_files_of_a_failed_first_run_stay_and_the_next_replaces_them(place):
    with pytest.raises(UserError, match="a step failed"):
        run(content="partial", fail=UserError("a step failed"))
    assert set(contents(place / "out").values()) == {"partial"}
    assert not json.loads((place / "out" / MARKER).read_text())["finished"]
    run(content="new")
    assert set(contents(place / "out").values()) == {"new"}


@pytest.mark.parametrize("name", ["thesis.tex", "model/thesis.tex", "notes/thesis.tex"])
def test_a_file_of_the_user_protects_the_folder(place, name):
    run(content="old")
    (place / "out" / name).parent.mkdir(exist_ok=True)
    (place / "out" / name).write_text("years of work")
    before = contents(place / "out")
    with pytest.raises(UserError, match=f"out: holds {name}, which is not a file of the quickst"):
        run()
    assert contents(place / "out") == before


def test_a_marker_alone_does_not_make_a_folder_replaceable(place):
    (place / "out").mkdir()
    (place / "out" / MARKER).touch()
    (place / "out" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"out: holds .* and no finished quickstart"):
        run()
    assert (place / "out" / "thesis.tex").exists()


@pytest.mark.parametrize("fail", [None, UserError("a step failed")])
def test_a_file_that_the_user_saves_during_a_run_is_kept(place, fail):
    run(content="old")
    try:
        with output_folder("out", []) as out:
            (out / "dump").mkdir()
            (out / "thesis.tex").write_text("years of work")
            if fail:
                raise fail
    except UserError:
        pass
    assert (place / "out" / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match=r"holds thesis\.tex"):
        run()


def test_a_run_that_was_killed_is_undone_or_explained(place):
    run(content="old")
    before = contents(place / "out")
    previous = place / f"out{PREVIOUS_SUFFIX}"
    os.rename("out", previous)
    (place / "out" / "dump").mkdir(parents=True)
    (place / "out" / "dump" / "file").touch()
    with pytest.raises(UserError, match=r"was killed, and the one before it is in .*out\.previous"):
        run()
    assert contents(previous) == before
    (place / "out" / "dump" / "file").unlink()
    (place / "out" / "dump").rmdir()
    (place / "out").rmdir()
    with pytest.raises(KeyboardInterrupt):
        run(fail=KeyboardInterrupt())
    assert contents(place / "out") == before


def test_the_one_before_a_finished_run_that_was_killed_is_removed(place):
    run(content="old")
    os.rename("out", f"out{PREVIOUS_SUFFIX}")
    run(content="middle", output="other")
    os.rename("other", "out")
    run(content="new")
    assert sorted(path.name for path in place.iterdir()) == ["home", "out"]


def test_a_folder_of_the_user_with_the_name_of_the_previous_one_is_kept(place):
    run(content="old")
    (place / f"out{PREVIOUS_SUFFIX}").mkdir()
    (place / f"out{PREVIOUS_SUFFIX}" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"out\.previous: holds thesis\.tex"):
        run()
    assert (place / f"out{PREVIOUS_SUFFIX}" / "thesis.tex").exists()


@pytest.mark.parametrize("output", ["", ".", "..", "home", "~/out", "gs:/out"])
def test_the_usual_slips_are_refused(place, output):
    (place / "home" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"^--output"):
        run(output)
    assert [path.name for path in place.rglob("*")] == ["home", "thesis.tex"]


def test_the_dump_of_an_earlier_quickstart_is_not_deleted_as_input(place):
    run(content="old")
    with pytest.raises(UserError, match="contains --input"):
        run(inputs=["out/dump/sub/file"])
    assert set(contents(place / "out").values()) == {"old"}


def test_a_link_is_written_behind(place):
    (place / "disk").mkdir()
    (place / "out").symlink_to("disk")
    for content in ("old", "new"):
        run(content=content)
        assert set(contents(place / "disk").values()) == {content}
    assert (place / "out").is_symlink()
