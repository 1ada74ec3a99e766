"""The quickstart of a wheel, in a user's folder, checked by the files that it leaves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# SciPy looks for torch in `sys.modules`, so torch cannot be hidden there.
PARITY_MODULES = ("accelerate", "mteb", "sentence_transformers")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "compare_replies.py"


@pytest.fixture(scope="module")
def quickstart(installed, tmp_path_factory):
    """The output folder and the printed text of one run with the installed command."""
    folder = tmp_path_factory.mktemp("quickstart")
    for name in ("models", "pipelines"):
        (folder / f"{name}.py").write_text("raise ImportError('a module of the user')")
    # These tests run with the packages of `make setup-parity`, which a user does not have.
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({PARITY_MODULES}))\n"
    )
    done = subprocess.run(
        [installed / "rejoinder", "quickstart"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(hidden)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder / "quickstart-out", done.stdout


def test_the_trained_model_is_better_than_keyword_methods(quickstart):
    out, _ = quickstart
    evaluation = json.loads((out / "model" / "evaluation" / "evaluation.json").read_text())
    model, *keyword_methods = evaluation["ranking"]
    assert model["is_model"]
    assert {method["name"] for method in keyword_methods} >= {"TF-IDF", "BM25"}
    for method in keyword_methods:
        assert model["accuracy_interval"][0] > method["accuracy_interval"][1] + 0.2


def test_the_summary_names_the_written_files_and_the_next_commands(quickstart):
    out, printed = quickstart
    summary = printed[printed.rindex("  input") :]
    training = json.loads((out / "model" / "training.json").read_text())
    assert training["last_loss"] < training["first_loss"]
    for expected in ("pairs", "steps", "loss", "1-of-100 TF-IDF", "SavedModel", "rejoinder serve"):
        assert expected in summary
    assert (out / "model" / "evaluation" / "evaluation.html").exists()


def test_nothing_suggests_make_where_no_makefile_is(quickstart):
    _, printed = quickstart
    assert re.findall(r"\bmake \S+ [A-Z_]+=.*", printed) == []


def test_the_last_step_scores_the_reply_above_a_reply_to_another_comment(quickstart):
    _, printed = quickstart
    step = printed[printed.index("[6/6]") : printed.rindex("[6/6]")]
    reply, stranger = re.search(r"^ +1 +1\.000 +(\S+) +(\S+) ", step, re.M).groups()
    assert float(reply) > float(stranger)


def test_the_saved_model_scores_the_reply_above_a_reply_to_another_comment(quickstart):
    out, _ = quickstart
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--export", out / "export/encoder", "--corpus", out / "corpus"],
        capture_output=True,
        text=True,
        check=True,
    )
    reply, stranger = map(float, re.findall(r"cos +(-?[\d.]+)", done.stdout))
    assert reply > stranger
