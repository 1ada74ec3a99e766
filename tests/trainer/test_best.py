"""`best/`: which weights are saved, that they are a model, and what survives a crash."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.encoder import Encoder
from rejoinder.models.loading import load_model
from rejoinder.trainer.best import BestModel
from rejoinder.trainer.best_folder import check_name, read_best
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.distribution.hosts import Hosts
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.run import open_run
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.stopping import EarlyStopping, StoppedEarly

TEXTS = ["ab cd", "efgh a"]


def configuration(corpus, **trainer):
    config = read_config([], "", {"task.train_data.input_path": str(corpus)})
    overrides.apply(config, TINY_RUN, "tiny")
    loop = {"train_steps": 6, "steps_per_loop": 2, "validation_interval": 2}
    overrides.apply(config, {"trainer": loop | {"checkpoint_interval": 2} | trainer}, "test")
    decay = config.trainer.optimizer_config.learning_rate.polynomial
    decay.decay_steps, decay.offset = 4, 2  # after the warm-up
    return config


class Scores:
    """An evaluation with given scores: one for each call."""

    names = ("quality",)

    def __init__(self, *values):
        self._values = iter(values)
        self.embeddings = []

    def __call__(self, encode):
        self.embeddings.append(encode(TEXTS))
        return {"quality": next(self._values)}


@pytest.fixture(scope="module")
def finished(trainable_corpus, tmp_path_factory):
    """Returns MODEL_DIR of a run whose second of three evaluations is best, and its scores.

    The run averages its weights, so the weights of `best/` are an average.
    """
    folder = tmp_path_factory.mktemp("finished") / "model"
    config = configuration(
        trainable_corpus,
        best_checkpoint_eval_metric="quality",
        optimizer_config={"ema": {"average_decay": 0.9}},
    )
    scores = Scores(0.1, 0.3, 0.2)
    assert run_experiment(config, str(folder), "train_and_eval", evaluation=scores) == 0
    return folder, scores


def test_the_files_of_the_best_weights_have_their_step_in_the_name(finished):
    folder = finished[0] / "best"
    names = {path.name for path in folder.iterdir()}
    assert {name for name in names if name.startswith("ckpt")} == {
        *("ckpt-4.index", "ckpt-4.data-00000-of-00001", "ckpt-4.json"),
    }
    stored = json.loads((folder / "ckpt-4.json").read_text())
    assert stored["step"] == 4
    assert stored["metrics"]["quality"] == 0.3
    assert set(stored["metrics"]) == {"accuracy", "quality", "validation_loss"}


def test_the_best_weights_are_a_model(finished):
    """Its embeddings are those that were scored at step 4, of the averaged weights."""
    folder, scores = finished
    best = Encoder.load(folder / "best").encode(TEXTS)
    np.testing.assert_allclose(best, scores.embeddings[1], atol=1e-6)
    step = Encoder.load(folder, checkpoint="ckpt-4").encode(TEXTS)
    np.testing.assert_allclose(best, step, atol=1e-6)
    assert np.abs(best - Encoder.load(folder).encode(TEXTS)).max() > 1e-4


def test_training_starts_from_the_best_weights(finished, make_trainer):
    started = make_trainer({"task": {"model": {"init_from": str(finished[0] / "best")}}})
    expected = load_model(finished[0] / "best").encoder
    for got, want in zip(started.model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_training_does_not_continue_in_the_best_weights(finished, trainable_corpus):
    best = finished[0] / "best"
    before = {path: path.read_bytes() for path in best.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"best: holds the best weights of a run .* --init-from"):
        run_experiment(configuration(trainable_corpus, train_steps=8), str(best), "train")
    assert {path: path.read_bytes() for path in best.rglob("*") if path.is_file()} == before


def test_a_resumed_run_compares_with_the_best_before_it(trainable_corpus, tmp_path):
    """Three processes: cut off in its first evaluation, stopped early, and started once more."""

    class Killed(Scores):
        def __call__(self, encode):
            raise KeyboardInterrupt

    folder = tmp_path / "model"
    config = configuration(
        trainable_corpus, best_checkpoint_eval_metric="quality", early_stopping_patience=1
    )
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, str(folder), "train_and_eval", evaluation=Killed())
    assert tf.train.latest_checkpoint(str(folder)).endswith("ckpt-2")
    # The evaluation of step 2 is done first; that of step 4 is worse.
    assert run_experiment(config, str(folder), "train_and_eval", evaluation=Scores(0.3, 0.2)) == 0
    # That of step 4 is worse than the best of the process before, so nothing is trained.
    assert run_experiment(config, str(folder), "train_and_eval", evaluation=Scores(0.2)) == 0
    assert read_best(str(folder / "best"))["step"] == 2
    assert tf.train.latest_checkpoint(str(folder)).endswith("ckpt-4")


def test_the_steps_of_a_run_are_the_same_without_best_weights(finished, trainable_corpus, tmp_path):
    """Saving, scoring and evaluating change no bit of what is trained."""
    config = configuration(
        trainable_corpus,
        optimizer_config={"ema": {"average_decay": 0.9}},
        best_checkpoint_export_subdir="",
    )
    assert run_experiment(config, str(tmp_path / "plain"), "train") == 0
    assert not (tmp_path / "plain" / "best").exists()
    plain, scored = (
        tf.train.load_checkpoint(str(path)) for path in (tmp_path / "plain", finished[0])
    )
    for name in plain.get_variable_to_shape_map():
        if name.startswith("model/"):
            np.testing.assert_allclose(
                scored.get_tensor(name), plain.get_tensor(name), atol=1e-6, err_msg=name
            )


@pytest.fixture
def best(make_trainer, trainable_corpus, tmp_path):
    """Returns a function that opens `best/` of one MODEL_DIR, as each start of a run does."""
    trainer = make_trainer()
    folder = str(tmp_path / "model")
    config = configuration(trainable_corpus)
    run = open_run(config, folder, mode="train_and_eval", strategy=trainer.strategy)
    trainer.checkpoint.save(f"{folder}/ckpt")  # the run is resumed
    return lambda: BestModel(run, trainer.model)


def offer(best, step, accuracy):
    return best.maybe_export_checkpoint(None, {"accuracy": accuracy}, step)


def test_a_score_that_is_not_a_number_is_never_the_best(best):
    model = best()
    assert not offer(model, 2, math.nan)
    assert math.isnan(model.best_ckpt_logs["accuracy"])
    assert offer(model, 4, 0.5)
    assert not offer(model, 6, math.nan)
    assert best().step == 4


@pytest.mark.parametrize("operation", ["write", "rename", "delete"])
def test_a_crash_leaves_whole_weights_and_the_next_run_removes_the_rest(
    best, tmp_path, monkeypatch, operation
):
    """A crash before the file `checkpoint` is renamed keeps the old weights, after it the new."""
    folder = tmp_path / "model" / "best"
    assert offer(best(), 2, 0.5)
    modules = {
        "write": tf.train.Checkpoint,
        "rename": storage,
        "delete": storage,
    }
    with monkeypatch.context() as patch:
        original = getattr(modules[operation], operation)

        def crash(*arguments, **options):
            if operation == "rename" and not arguments[1].endswith("/checkpoint"):
                return original(*arguments, **options)
            raise KeyboardInterrupt

        model = best()
        patch.setattr(modules[operation], operation, crash)
        with pytest.raises(KeyboardInterrupt):
            offer(model, 4, 0.6)
    model = best()
    assert model.step == (4 if operation == "delete" else 2)
    load_model(folder)
    assert offer(model, 6, 0.7)
    names = {path.name.split(".")[0] for path in folder.glob("ckpt-*")}
    assert names == {"ckpt-6"}


def test_weights_of_another_run_are_replaced_by_the_first_evaluation(best, tmp_path):
    """MODEL_DIR has no checkpoint any more: what is in `best/` belongs to a run before."""
    offer(best(), 8, 0.9)
    for path in (tmp_path / "model").glob("c*"):
        path.unlink()
    model = best()
    assert model.step is None
    assert offer(model, 2, 0.1)
    assert read_best(str(tmp_path / "model" / "best"))["step"] == 2


@pytest.mark.parametrize("name", ["encoder", "train", "validation", "..", "a/b"])
def test_the_folder_of_the_best_weights_is_one_of_its_own(name):
    with pytest.raises(UserError, match=r"trainer\.best_checkpoint_export_subdir: must be"):
        check_name(name)


def test_a_score_that_is_not_a_number_counts_as_no_improvement():
    stopping = EarlyStopping("quality", "higher", 2, Hosts())
    stopping({"quality": math.nan})
    stopping({"quality": 0.1})
    stopping({"quality": math.nan})
    with pytest.raises(StoppedEarly, match="quality has not improved in 2 evaluations"):
        stopping({"quality": 0.1})
