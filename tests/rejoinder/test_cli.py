import pytest

from rejoinder.cli import run
from rejoinder.errors import UserError


def test_a_user_error_is_one_line_and_status_1(capsys):
    def main():
        raise UserError("dump.zst: no such file")

    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "error: dump.zst: no such file\n"


def test_ctrl_c_ends_with_the_shell_s_status():
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert exit_.value.code == 130


def test_a_bug_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main)


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_the_returned_status_is_the_process_status(returned, status):
    with pytest.raises(SystemExit) as exit_:
        run(lambda: returned)
    assert exit_.value.code == status
