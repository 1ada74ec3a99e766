import subprocess
import sys
from pathlib import Path

import pytest

from rejoinder import doctor
from rejoinder.doctor import (
    IN_CHECKOUT,
    INSTALLED,
    Finding,
    fixing_commands,
    machine_findings,
    report,
    version_findings,
)
from rejoinder.errors import UserError
from rejoinder.hardware import Hardware

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


def problems(versions):
    findings = version_findings(versions.get, IN_CHECKOUT)
    return [finding.check for finding in findings if finding.fix]


def test_the_locked_versions_have_no_problem():
    assert problems(GOOD) == []


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
        ({"tensorflow": None, "tensorflow-tpu": "2.20.0", "libtpu": "0.0.20"}, []),
        (
            {"tensorflow": None, "tensorflow-tpu": "2.19.1", "libtpu": "0.0.20"},
            ["tensorflow-tpu", "tf-models-official", "tensorflow-text", "tf-keras"],
        ),
        ({"tensorflow-tpu": "2.20.0", "libtpu": "0.0.20"}, ["tensorflow"]),
        ({"tensorflow-cpu": "2.20.0"}, ["tensorflow"]),
        ({"tensorflow": None, "tensorflow-tpu": "2.20.0", "libtpu": "0.0.52"}, ["libtpu"]),
        ({"tensorflow": None, "tensorflow-tpu": "2.20.0"}, ["libtpu"]),
    ],
)
def test_versions_known_to_break_are_named_with_a_command(change, expected):
    assert problems(GOOD | change) == expected


def test_this_python_is_supported():
    findings = machine_findings(IN_CHECKOUT)
    assert [finding.fix for finding in findings if finding.check == "python"] == [""]


@pytest.mark.parametrize("tpu", [None, "node-1"])
def test_tensorflow_starts_and_names_the_devices(tpu, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    if tpu:
        monkeypatch.setenv("TPU_NAME", tpu)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(doctor, "find_hardware", Hardware)
    findings = list(doctor.device_findings(doctor._installed_version, IN_CHECKOUT))
    assert "GPU" in [finding.check for finding in findings]
    assert [finding for finding in findings if finding.fix] == []
    assert tpu is None or findings[-1].found.endswith(tpu)


def test_the_report_ends_with_the_next_command():
    assert report([Finding("cores", "2")]).splitlines() == [
        "ok    cores                2",
        "no problem found; next: rejoinder quickstart",
    ]


def test_each_problem_is_followed_by_its_command():
    assert report([Finding("gcsfs", "missing", "make setup")]).splitlines() == [
        "fix   gcsfs                missing",
        "                           $ make setup",
        "1 to fix: run the lines that begin with $, then this check again",
    ]


def test_a_checkout_is_fixed_with_make_and_a_wheel_with_pip(tmp_path, monkeypatch):
    assert fixing_commands() == IN_CHECKOUT
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "rejoinder" / "doctor.py"))
    assert fixing_commands() == INSTALLED


@pytest.mark.parametrize("name", ["tf-models-official", "apache-beam", "transformers", "gcsfs"])
def test_a_wheel_without_an_extra_is_no_problem_and_names_the_extra(name):
    found = {
        finding.check: finding for finding in version_findings((GOOD | {name: None}).get, INSTALLED)
    }
    assert found[name].fix == ""
    assert "not installed: the extra" in found[name].found
    assert name in problems(GOOD | {name: None})  # in a checkout, which has all


def test_an_environment_with_tensorflow_cpu_has_no_problem():
    assert problems(GOOD | {"tensorflow": None, "tensorflow-cpu": "2.20.0"}) == []


def test_an_engine_without_its_extra_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"doctor --runner: .*'rejoinder\[pipeline\]'"):
        list(doctor.engine_findings("PrismRunner", "", []))


def test_a_bucket_without_access_is_a_problem_of_both_clients(monkeypatch):
    monkeypatch.setattr(doctor, "_python", lambda code, path: (1, "403 Forbidden"))
    checks = [(finding.check, bool(finding.fix)) for finding in doctor.cloud_findings("gs://b/x")]
    assert checks == [("gs:// by gcsfs", True), ("gs:// by TensorFlow", True)]


def test_a_python_without_packages_is_told_to_set_up():
    """`-S` hides site-packages, as in a new Python before `make setup`."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "rejoinder", "doctor"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "$ make setup" in done.stdout
