"""The Makefile: its targets call the `rejoinder` command with flags that exist."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from rejoinder.commands import COMMANDS, dispatch

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.M)
COMMAND_TARGETS = [name for name in TARGETS if name in COMMANDS]
# `make test ARGS=…` hands its variables to every make below it.
ENVIRONMENT = {
    k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKEOVERRIDES", "ARGS")
}
# Values for all variables that add a flag, so that every flag is printed.
VARIABLES = ["INPUT=x", "RUNNER=x", "TPU=x", "GS=gs://x", "CORPUS=x", "QUERY=x"]


def test_the_targets_cover_the_way_from_a_dump_to_a_served_model():
    assert set(COMMAND_TARGETS) >= {
        *("quickstart", "doctor", "preprocess", "train", "evaluate"),
        *("export", "serve", "embed", "search"),
    }


def test_help_lists_every_target():
    printed = subprocess.run(
        ["make", "help"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^  \x1b\[36m([a-z0-9-]+)", printed, re.M) == TARGETS


@pytest.mark.parametrize("target", COMMAND_TARGETS)
def test_the_flags_of_a_target_exist(target, capsys):
    printed = subprocess.run(
        ["make", "--dry-run", target, *VARIABLES],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    arguments = re.search(rf"rejoinder {target}\b(.*)", printed)[1]
    with pytest.raises(SystemExit):
        dispatch([target, "--help"])
    usage = capsys.readouterr().out
    for flag in re.findall(r"--[a-z_-]+", arguments):
        assert re.search(rf"{flag}\b", usage), flag


@pytest.mark.parametrize(
    "file", [".ci/run", ".github/workflows/ci.yml", ".github/workflows/release.yml"]
)
def test_ci_calls_targets_that_exist(file):
    called = re.findall(r"\bmake ([a-z0-9-]+)", (ROOT / file).read_text(encoding="utf-8"))
    assert called
    assert set(called) <= set(TARGETS)


def printed_by(*arguments: str) -> str:
    return subprocess.run(
        ["make", "-n", "-o", "setup", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", "")


DATAFLOW = ["RUNNER=DataflowRunner", "PROJECT=p", "REGION=r", "IMAGE=i"]


@pytest.mark.parametrize("bucket", ["b", "gs://b", "gs://b/"])
def test_a_dataflow_job_is_one_command(bucket):
    printed = printed_by("preprocess", *DATAFLOW, f"BUCKET={bucket}").split()
    for option in (
        "--input 'gs://b/dumps/RC_*' --output gs://b/corpus",
        "--runner DataflowRunner --project p --region r --temp_location gs://b/temp",
        "--sdk_container_image i",
    ):
        assert option in " ".join(printed)


def test_a_variable_that_a_dataflow_job_needs_is_named():
    printed = printed_by("preprocess", "RUNNER=DataflowRunner", "PROJECT=p", "BUCKET=b")
    assert "error: RUNNER=DataflowRunner needs REGION IMAGE;" in printed
    assert "error:" not in printed_by("preprocess", *DATAFLOW, "BUCKET=b")


def test_prism_is_of_the_version_of_beam_in_the_lock():
    (version,) = re.findall(r"^PRISM_VERSION := v(.*)", MAKEFILE, re.M)
    assert f"\napache-beam=={version} " in (ROOT / "requirements" / "base.txt").read_text()
