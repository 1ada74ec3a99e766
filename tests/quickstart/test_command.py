import pytest

from rejoinder.commands import dispatch
from rejoinder.errors import UserError
from rejoinder.quickstart.command import main, steps_to_export
from rejoinder.quickstart.folder import MARKER


def test_a_folder_that_quickstart_did_not_make_is_left_unchanged(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis\.tex and no finished quickstart"):
        main(["--output", str(tmp_path)])
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_as_output_is_an_error(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file; --output names a folder"):
        main(["--output", str(tmp_path / "out")])


def test_a_missing_dump_is_an_error_and_nothing_is_deleted(tmp_path):
    (tmp_path / MARKER).touch()
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=r"--input RC_1999-\*\.zst: no such file"):
        main(["--input", "RC_1999-*.zst", "--output", str(tmp_path)])
    assert (tmp_path / "model").exists()


def test_the_flags_of_every_step_exist(tmp_path, capsys):
    for step in steps_to_export(["RC.zst"], tmp_path, train_steps=5):
        with pytest.raises(SystemExit):
            dispatch([step.command, "--help"])
        usage = capsys.readouterr().out
        assert all(f"--{flag} " in usage for flag in step.flags), step
