"""`training.json` covers all processes of a run."""

import json
import signal

import pytest

from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.history import History, read_history
from rejoinder.trainer.loop import Stopped, Trainer
from rejoinder.trainer.settings.resolve import read_config

STEPS = 12
COUNTS = ("steps", "steps_counted", "pairs_trained", "tokens", "token_positions", "cut_tokens")


@pytest.fixture
def train(trainable_corpus, tmp_path):
    """Returns a function from the folder and the number of steps to the content of the report."""

    def run(folder, steps=STEPS, status=0):
        loop = {"train_steps": steps, "steps_per_loop": 4, "checkpoint_interval": 4}
        trainer = TINY_RUN["trainer"] | loop
        file = tmp_path / "tiny.yaml"
        file.write_text(json.dumps(TINY_RUN | {"trainer": trainer}))  # JSON is YAML
        flags = {"task.train_data.input_path": str(trainable_corpus)}
        config = read_config([str(file)], "", flags)
        assert run_experiment(config, str(tmp_path / folder), "train") == status
        return json.loads((tmp_path / folder / "training.json").read_text())

    return run


def counts(report):
    return {name: report[name] for name in COUNTS}


def test_a_run_that_was_stopped_and_killed_reports_all_of_its_steps(train, tmp_path, monkeypatch):
    whole = train("whole")

    def at_step(step, error):
        def check(self):
            if int(self.global_step.numpy()) == step:
                raise error

        monkeypatch.setattr(Trainer, "_stop_if_asked", check)

    at_step(6, Stopped(signal.SIGTERM))  # inside of an inner loop
    stopped = train("model", status=128 + signal.SIGTERM)
    assert stopped["steps_counted"] == 6
    at_step(11, KeyboardInterrupt())  # after the checkpoint of step 10; nothing is written
    with pytest.raises(KeyboardInterrupt):
        train("model")
    killed = json.loads((tmp_path / "model/training.json").read_text())
    assert killed["steps"] == killed["steps_counted"] == 10
    monkeypatch.undo()
    resumed = train("model")
    assert resumed["steps_this_run"] == 2
    assert counts(resumed) == counts(whole)
    assert resumed["by_data_set"] == whole["by_data_set"]
    assert resumed["first_loss"] == whole["first_loss"]
    assert resumed["seconds"] > killed["seconds"] > stopped["seconds"]
    assert resumed["training_seconds"] > killed["training_seconds"]

    # Killed between the last checkpoint and the report on it.
    (tmp_path / "model/training.json").write_text(json.dumps(killed))
    finished = train("model")
    assert (finished["steps"], finished["steps_counted"]) == (STEPS, 10)
    assert finished["first_loss"] == whole["first_loss"]


def test_a_report_of_other_steps_is_not_the_history_of_a_checkpoint(tmp_path):
    report = {
        "steps": 8,
        "steps_counted": 8,
        "pairs_trained": 80,
        "tokens": 900,
        "token_positions": 1000,
        "cut_tokens": 1,
        "training_seconds": 2.0,
        "seconds": 3.0,
        "first_loss": 4.0,
        "last_loss": 3.0,
        "accuracy_in_batch": 0.5,
    }
    folder = str(tmp_path)
    assert read_history(folder, 8) == History()
    (tmp_path / "training.json").write_text(json.dumps(report))
    assert read_history(folder, 0) == History()  # the checkpoints were removed
    assert read_history(folder, 4) == History()  # the user went back to an older checkpoint
    history = read_history(folder, 8)
    assert (history.total.steps, history.total.pairs, history.seconds) == (8, 80, 3.0)
    assert read_history(folder, 12) == history  # killed between a checkpoint and its report
    (tmp_path / "training.json").write_text('{"steps": 8}')  # an older version wrote it
    assert read_history(folder, 8) == History()
