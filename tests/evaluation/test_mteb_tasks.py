"""`rejoinder evaluate --mteb`, with a task and a runner that take mteb's place."""

import json
import sys
import types

import numpy as np
import pytest

from rejoinder.errors import UserError
from rejoinder.evaluation import mteb_model
from rejoinder.evaluation.evaluate import main


class Letters:
    dimension = 26
    load = classmethod(lambda cls, path, checkpoint, precision: cls())

    def encode(self, texts, **_):
        rows = [[text.count(letter) for letter in map(chr, range(97, 123))] for text in texts]
        return np.array(rows, np.float32)


@pytest.fixture
def mteb(monkeypatch):
    """A module with the two functions of mteb that the command uses."""

    def get_task(name):
        if name != "Tiny":
            raise KeyError(f"'{name}' not found")
        return types.SimpleNamespace(
            metadata=types.SimpleNamespace(name=name, main_score="cosine_spearman")
        )

    def evaluate(model, task, **_):
        if fake.error:
            raise fake.error
        score = types.SimpleNamespace(get_score=lambda: 0.75)
        return types.SimpleNamespace(task_results=[score])

    fake = types.SimpleNamespace(get_task=get_task, evaluate=evaluate, error=None)
    monkeypatch.setitem(sys.modules, "mteb", fake)
    monkeypatch.setattr(mteb_model, "mteb_model", lambda encoder: encoder)
    encoders = types.SimpleNamespace(Encoder=Letters)
    monkeypatch.setitem(sys.modules, "rejoinder.models.encoder", encoders)
    return fake


def test_scores_are_in_the_tables_and_the_report(mteb, tmp_path, capsys):
    command = ["--model", "m/a,m/b", "--mteb", "Tiny", "--output", str(tmp_path)]
    assert main(command) == 0
    score = {"task": "Tiny", "metric": "cosine_spearman", "score": 0.75}
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert result["mteb"] == [{"model": "a", **score}, {"model": "b", **score}]
    assert "| Tiny | a     | cosine_spearman | 0.7500 |" in capsys.readouterr().out
    assert "cosine_spearman" in (tmp_path / "evaluation.html").read_text()


def test_without_mteb_other_evaluations_work(mteb, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a b,a b,5\na b,c d,1\na b,a,3\n")
    output = ["--output", str(tmp_path / "out")]
    with pytest.raises(UserError, match="mteb is not installed; run `make setup-parity`"):
        main(["--model", "m/a", "--mteb", "Tiny", *output])
    assert main(["--model", "m/a", "--sts", str(pairs), *output]) == 0


def test_an_unknown_task_is_an_error_before_a_model_is_loaded(mteb, tmp_path, monkeypatch):
    monkeypatch.setattr(Letters, "load", None)
    with pytest.raises(UserError, match="--mteb Other: mteb has no such task"):
        main(["--model", "m/a", "--mteb", "Other", "--output", str(tmp_path)])


def test_a_task_whose_data_cannot_be_loaded_is_one_line(mteb, tmp_path):
    mteb.error = OSError("offline\nand more")
    with pytest.raises(UserError, match=r"^--mteb Tiny: cannot be run \(offline and more\)"):
        main(["--model", "m/a", "--mteb", "Tiny", "--output", str(tmp_path)])


def test_without_mteb_the_command_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(UserError, match="make setup-parity"):
        main(["--model", "m/a", "--mteb", "Tiny", "--output", str(tmp_path)])


def test_a_model_is_needed(capsys):
    with pytest.raises(SystemExit):
        main(["--mteb", "Tiny"])
    assert "--mteb need a --model" in capsys.readouterr().err
