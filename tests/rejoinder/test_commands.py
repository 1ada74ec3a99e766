"""The `rejoinder` command: its help, its version, and what it imports before a command runs."""

import re
import subprocess
import sys

import pytest

from rejoinder import __version__
from rejoinder.commands import COMMANDS, dispatch

# Each of these takes 0.1 to 5 s to import.
HEAVY = {"tensorflow", "tf_keras", "apache_beam", "torch", "numpy", "polars", "pyarrow", "sklearn"}


def run(*arguments):
    """Runs `python -m rejoinder`; returns what it printed and the names of all imported modules."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rejoinder", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "rejoinder.commands" in imported
    return done.stdout, imported


def test_help_lists_every_command_and_imports_nothing_heavy():
    printed, imported = run("--help")
    assert re.findall(r"^  (\w+) +\w", printed, re.M) == list(COMMANDS)
    assert imported & HEAVY == set()


def test_version_prints_the_version_and_imports_nothing_heavy():
    printed, imported = run("--version")
    assert printed == f"rejoinder {__version__}\n"
    assert imported & HEAVY == set()


@pytest.mark.parametrize(("given", "expected"), [(None, "3"), ("0", "0")])
def test_tensorflow_s_log_is_off_unless_the_user_sets_it(given, expected):
    program = (
        "import os, sys; from rejoinder import commands\n"
        "sys.argv = ['rejoinder', '--version']\n"
        "try: commands.main()\n"
        "finally: print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    environment = {"TF_CPP_MIN_LOG_LEVEL": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == expected


def test_a_closed_pipe_ends_the_command_without_a_traceback():
    process = subprocess.Popen(
        [sys.executable, "-m", "rejoinder", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()  # as `| head` does once it has its lines
    assert process.stderr.read() == ""
    assert process.wait() == 141  # 128 + SIGPIPE


def test_no_arguments_print_the_help(capsys):
    assert dispatch([]) == 0
    assert capsys.readouterr().out.startswith("usage: rejoinder [--version] COMMAND")


def test_an_unknown_command_lists_the_commands(capsys):
    assert dispatch(["trian"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: trian: no such command; the commands are quickstart, doctor,")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_grouped_and_imports_nothing_heavy(name):
    printed, imported = run(name, "--help")
    assert printed.startswith(f"usage: rejoinder {name} ")
    groups = re.findall(r"^([a-zA-Z].*):$", printed, re.M)
    assert set(groups) - {"options", "positional arguments"}, f"only {groups}"
    assert imported & HEAVY == set()
