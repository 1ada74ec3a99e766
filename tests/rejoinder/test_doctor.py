import subprocess
import sys

import pytest

from rejoinder.doctor import machine_findings, version_findings

GOOD = {
    "tensorflow": "2.20.0",
    "tf-models-official": "2.20.0",
    "tensorflow-text": "2.20.1",
    "tf-keras": "2.20.1",
    "setuptools": "80.10.2",
    "apache-beam": "2.77.0",
    "transformers": "5.23.0",
    "gcsfs": "2026.10.1",
}


def to_mend(versions):
    return [finding.check for finding in version_findings(versions.get) if finding.mend]


def test_the_locked_set_is_fit():
    assert to_mend(GOOD) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tf-models-official": "2.7.2"}, ["tf-models-official"]),
        ({"tensorflow-text": None}, ["tensorflow-text"]),
        ({"setuptools": "81.0.0"}, ["setuptools"]),
        ({"gcsfs": None}, ["gcsfs"]),
        (
            {"tensorflow": "2.21.0"},
            ["tensorflow", "tf-models-official", "tensorflow-text", "tf-keras"],
        ),
        ({"tensorflow": None}, ["environment"]),
    ],
)
def test_versions_known_to_break_are_named_with_a_command(change, expected):
    assert to_mend(GOOD | change) == expected


def test_this_machine_s_python_is_supported():
    assert [finding.mend for finding in machine_findings() if finding.check == "python"] == [""]


def test_a_bare_python_is_told_to_set_up():
    """`-S` hides site-packages: what a newcomer's Python sees before `make setup`."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "rejoinder", "doctor"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "$ make setup" in done.stdout
