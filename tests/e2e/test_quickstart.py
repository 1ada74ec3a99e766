"""The whole path as a newcomer runs it, checked by what it leaves behind."""

import json
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    out = tmp_path_factory.mktemp("quickstart") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "rejoinder", "quickstart", "--output", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return out, done.stdout


@pytest.mark.timeout(900)
def test_the_trained_model_beats_keyword_methods_clearly(quickstart):
    out, _ = quickstart
    evaluation = json.loads((out / "model" / "evaluation" / "evaluation.json").read_text())
    model, *keyword_methods = evaluation["ranking"]
    assert model["is_model"]
    assert {method["name"] for method in keyword_methods} >= {"TF-IDF", "BM25"}
    for method in keyword_methods:
        assert model["accuracy_interval"][0] > method["accuracy_interval"][1] + 0.2


def test_the_summary_names_what_was_made_and_what_comes_next(quickstart):
    out, printed = quickstart
    summary = printed[printed.rindex("  input") :]
    training = json.loads((out / "model" / "training.json").read_text())
    assert training["last_loss"] < training["first_loss"]
    for expected in ("pairs", "steps", "loss", "1-of-100 TF-IDF", "SavedModel", "make serve"):
        assert expected in summary
    assert (out / "model" / "evaluation" / "evaluation.html").exists()


def test_the_saved_model_scores_the_reply_above_the_stranger_s(quickstart):
    _, printed = quickstart
    reply, stranger = (
        float(re.search(rf"{name}\s+cos\s+(-?[\d.]+)", printed)[1])
        for name in ("its reply", "a stranger's")
    )
    assert reply > stranger


def test_a_folder_of_the_user_s_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "rejoinder", "quickstart", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "was not made by quickstart" in done.stderr
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_missing_dump_is_named(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rejoinder",
            "quickstart",
            "--input=RC_1999-*.zst",
            f"--output={tmp_path / 'out'}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: --input RC_1999-*.zst: no such file\n"
