import subprocess
import sys

import pytest

from rejoinder.errors import UserError
from rejoinder.quickstart.steps import Step, run_step


def test_flags_come_before_positional_arguments():
    step = Step(
        "t", "similarity", {"model": "m", "input": ["a", "b"], "quiet": True}, ["-5 °C", "x"]
    )
    assert step.arguments() == [
        "similarity",
        "--model=m",
        "--input",
        "a",
        "b",
        "--quiet",
        "--",
        "-5 °C",
        "x",
    ]


def test_a_step_prints_its_command_line_and_runs_it(capsys):
    run_step(Step("show the version", "--version", {}), "[1/1]")
    assert "[1/1] show the version\n$ rejoinder --version\n" in capsys.readouterr().out


def test_a_failed_step_is_an_error_with_the_command_to_repeat():
    with pytest.raises(UserError, match=r"ended with status 2; to run it alone: rejoinder trian"):
        run_step(Step("misspelled", "trian", {}), "[1/1]")


def test_a_step_runs_in_any_folder(tmp_path):
    program = (
        "from rejoinder.quickstart.steps import Step, run_step\n"
        "run_step(Step('show the version', '--version', {}), '[1/1]')"
    )
    (tmp_path / "models.py").write_text("raise ImportError('the models.py of a user')")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "rejoinder 0." in done.stdout
