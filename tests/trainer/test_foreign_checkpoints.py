"""A checkpoint that is not this model's is refused wherever one is read."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.loading import load_model
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.settings.resolve import read_config

LOOP = {"trainer": {"train_steps": 2, "steps_per_loop": 2, "checkpoint_interval": 2}}
MORE = {"trainer": {"train_steps": 4}}


@pytest.fixture(scope="module")
def run(trainable_corpus, tmp_path_factory):
    """Returns a function from overrides to the exit status of a run."""
    folder = tmp_path_factory.mktemp("runs")

    def start(model_dir: Path, values=None, mode="train") -> int:
        files = [folder / "tiny.yaml", folder / "loop.yaml", folder / "test.yaml"]
        for file, content in zip(files, (TINY_RUN, LOOP, values or {}), strict=True):
            file.write_text(json.dumps(content))  # JSON is YAML
        flags = {"task.train_data.input_path": str(trainable_corpus)}
        return run_experiment(
            read_config([str(file) for file in files], "", flags), str(model_dir), mode
        )

    return start


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """Returns the folder of a finished run."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    assert run(folder) == 0
    return folder


@pytest.fixture
def model(trained, tmp_path):
    """Returns a copy of that folder."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def write_foreign(folder: Path, **variables) -> str:
    """Writes another program's `ckpt-1`; returns its path."""
    named = {name: tf.Variable(value) for name, value in variables.items()}
    checkpoint = tf.train.Checkpoint(**(named or {"weights": tf.Variable([1.0, 2.0])}))
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
    return str(manager.save(checkpoint_number=1))


def readers(run, folder):
    """Returns every way to read the model of a folder."""
    start = {"task": {"model": {"init_from": str(folder)}}}
    return {
        "resume": lambda: run(folder, MORE),
        "validate": lambda: run(folder, mode="eval"),
        "initialize": lambda: run(folder.parent / "new", start),
        "load": lambda: load_model(folder),
    }


def assert_refused(run, folder, message, *, leave_out=()):
    for name, read in readers(run, folder).items():
        if name not in leave_out:
            with pytest.raises(UserError, match=message) as refused:
                read()
            assert "\n" not in str(refused.value), name
    assert not (folder.parent / "new").exists()


def test_a_folder_of_another_program_is_refused(run, tmp_path):
    path = write_foreign(tmp_path / "foreign")
    assert_refused(run, tmp_path / "foreign", rf"^{path}: is the checkpoint of another program ")


@pytest.mark.parametrize("variables", [{}, {"global_step": 7, "log_scale": 3.0}])
def test_a_checkpoint_of_another_program_in_a_model_folder_is_refused(run, model, variables):
    path = write_foreign(model, **variables)
    assert_refused(run, model, rf"^{path}: does not hold the model .*it holds 0 variables")


def test_a_checkpoint_with_more_layers_is_refused(run, model, tmp_path):
    """TensorFlow would read the first layer and leave out the second."""
    assert run(tmp_path / "deeper", {"task": {"model": {"num_hidden_layers": 2}}}) == 0
    for file in (tmp_path / "deeper").glob("c*k*p*t*-2.*"):
        shutil.copy(file, model)
    assert_refused(
        run, model, r"ckpt-2: does not hold the model .*holds 31 variables of a model, 19"
    )


def test_the_state_of_another_optimizer_is_refused(run, model):
    """Without params.yaml nothing but the checkpoint knows how it was trained."""
    (model / "params.yaml").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in model.iterdir()}
    for changed in (
        {"optimizer_config": {"optimizer": {"type": "sgd"}}},
        {"optimizer_config": {"ema": {"average_decay": 0.9}}},
    ):
        with pytest.raises(UserError, match=r"ckpt-2: does not hold the state of this run's opt"):
            run(model, {"trainer": MORE["trainer"] | changed})
    assert {path.name: path.stat().st_mtime_ns for path in model.iterdir()} == before
    assert run(model, {"task": {"model": {"frozen_layers": 0}}}, mode="eval") == 0


def test_a_damaged_checkpoint_is_refused(run, model):
    for ending in ("data-00000-of-00001", "index"):
        file = model / f"ckpt-2.{ending}"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert_refused(run, model, rf"^{model}/ckpt-2: cannot be read \(.*; if the file is damaged")
        file.write_bytes(whole)


def test_a_list_of_checkpoints_that_is_wrong_is_refused(run, model):
    """Training would start again and overwrite the checkpoints that are there."""
    state = model / "checkpoint"
    for text, message in (
        ('model_checkpoint_path: "ckpt-9"', f"^{state}: names {model}/ckpt-9, which does not"),
        ("", f"^{state}: is not a list of checkpoints; write model_checkpoint_path: "),
        ("garbage", f"^{state}: is not a list of checkpoints; write model_checkpoint_path: "),
    ):
        state.write_text(text)
        assert_refused(run, model, message)
