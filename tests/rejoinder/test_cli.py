"""The end of a command: statuses, signals, and standard streams that are closed."""

import os
import shlex
import signal
import subprocess
import sys

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


def program(body: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time\nfrom rejoinder import cli\n{body}"]


def start(body: str) -> subprocess.Popen:
    """Runs a program that prints `ready` when it can be interrupted."""
    process = subprocess.Popen(
        program(body),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in SIGNALS],
    )
    assert process.stdout.readline() == "ready\n"
    return process


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize(("number", "status"), SIGNALS.items())
def test_a_signal_is_one_line_and_finally_blocks_run(number, status):
    process = start(
        "def main():\n"
        "    try: print('ready', flush=True); time.sleep(30)\n"
        "    finally: print('cleaned')\n"
        "cli.run(main)"
    )
    process.send_signal(number)
    assert process.communicate(timeout=20) == ("cleaned\n", "interrupted\n")
    assert process.returncode == status


def test_a_second_signal_does_not_interrupt_the_clean_up():
    process = start(
        "def main():\n"
        "    try: print('ready', flush=True); time.sleep(30)\n"
        "    finally:\n"
        "        print('cleaning', flush=True); time.sleep(0.5); print('cleaned', flush=True)\n"
        "cli.run(main)"
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("cleaned\n", "interrupted\n")
    assert process.returncode == 130


def test_a_library_that_wraps_the_interrupt_changes_nothing():
    process = start(
        "def main():\n"
        "    try: print('ready', flush=True); time.sleep(30)\n"
        "    except BaseException as error: raise RuntimeError('wrapped') from error\n"
        "cli.run(main)"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "interrupted\n"
    assert process.returncode == 130


def test_a_signal_that_another_thread_receives_wakes_up_the_main_thread():
    process = start(
        "import signal, threading\n"
        "def send():\n"
        "    time.sleep(0.2)\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "def main():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        threading.Thread(target=send).start()\n"
        "        threading.Event().wait()\n"
        "    finally: print('cleaned')\n"
        "cli.run(main)"
    )
    assert process.communicate(timeout=20) == ("cleaned\n", "interrupted\n")
    assert process.returncode == 143


def test_a_signal_to_a_forked_process_leaves_its_parent_alone():
    process = start(
        "import signal\n"
        "def main():\n"
        "    child = os.fork()\n"
        "    if not child: time.sleep(30)\n"
        "    time.sleep(0.2)\n"
        "    os.kill(child, signal.SIGINT)\n"
        "    print('ready', flush=True)\n"
        "    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "    time.sleep(0.5)\n"
        "    print(status)\n"
        "cli.run(main)"
    )
    assert process.communicate(timeout=20) == ("130\n", "interrupted\n")  # the child's line
    assert process.returncode == 0


def test_an_interrupt_that_python_drops_in_a_finalizer_is_raised_again():
    process = start(
        "class Slow:\n"
        "    def __del__(self):\n"
        "        print('ready', flush=True); time.sleep(0.5)\n"
        "def main():\n"
        "    Slow()\n"
        "    time.sleep(30)\n"
        "cli.run(main)"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "interrupted\n")
    assert process.returncode == 130


def test_a_process_whose_clean_up_hangs_is_ended():
    process = start(
        "from rejoinder import interrupts\n"
        "interrupts.SECONDS = 0.5\n"
        "def main():\n"
        "    try: print('ready', flush=True); time.sleep(30)\n"
        "    finally: time.sleep(30)\n"
        "cli.run(main)"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "interrupted\n"
    assert process.returncode == 130


def test_an_interrupt_during_an_import_ends_the_process_without_an_exception():
    process = start(
        "from rejoinder import interrupts\n"
        "def main():\n"
        "    with interrupts.exit_at_once():\n"
        "        try: print('ready', flush=True); time.sleep(30)\n"
        "        except BaseException: print('an exception')\n"
        "cli.run(main)"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "interrupted\n")
    assert process.returncode == 130


def test_a_signal_while_python_ends_does_not_change_the_status():
    """Python restores the default actions before it deletes modules, which takes a while."""
    process = start(
        "import signal\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, own=os.getpid()): kill(own, signal.SIGTERM)\n"
        "def main():\n"
        "    global last\n"
        "    last = Last()\n"
        "    print('ready', flush=True)\n"
        "cli.run(main)"
    )
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


def test_a_signal_that_the_parent_ignores_stays_ignored():
    """`nohup rejoinder …` and background jobs of scripts."""
    process = subprocess.run(
        program("cli.run(lambda: os.kill(os.getpid(), 1))"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        check=False,
    )
    assert process.returncode == 0


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>&- 2>&-"])
def test_closed_standard_streams_are_no_error(closed, tmp_path):
    body = (
        "def main():\n"
        f"    with open({str(tmp_path / 'file')!r}, 'w'): os.write(1, b'x'); os.write(2, b'x')\n"
        "    print('done'); print('done', file=sys.stderr)\n"
        "cli.run(main)"
    )
    command = f"{shlex.join(program(body))} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == ""  # did not get the number of a closed stream


def test_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            program("cli.run(lambda: print('done'))"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: standard output: cannot be written (No space left on device)\n"


def test_an_error_without_a_reader_of_standard_error_keeps_its_status():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        done = subprocess.run(
            program(
                "from rejoinder.errors import UserError\n"
                "def main(): raise UserError('a file')\n"
                "cli.run(main)"
            ),
            stderr=broken,
            check=False,
        )
    assert done.returncode == 1
