"""The moving average of the weights: how it is kept, and that it is the model of the run."""

import copy
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import average
from rejoinder.errors import UserError
from rejoinder.models.loading import load_model
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config

STEPS = 6
EMA = {"average_decay": 0.9, "dynamic_decay": False}
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
SLOT = "/.OPTIMIZER_SLOT/optimizer/average"


def configuration(corpus, ema, **model):
    config = read_config([], "", {"task.train_data.input_path": str(corpus)})
    overrides.apply(config, TINY_RUN, "tiny")
    trainer = {"train_steps": STEPS, "steps_per_loop": 2, "validation_interval": 2}
    optimizer = {"optimizer_config": {"ema": ema}} if ema else {}
    overrides.apply(config, {"task": {"model": model}, "trainer": trainer | optimizer}, "test")
    decay = config.trainer.optimizer_config.learning_rate.polynomial
    decay.decay_steps, decay.offset = STEPS - 2, 2  # after the warm-up
    return config


@pytest.fixture(scope="module")
def averaged(trainable_corpus, tmp_path_factory):
    """Returns the folder of a run with an average, of two layers with the lower one frozen."""
    folder = tmp_path_factory.mktemp("averaged") / "model"
    config = configuration(trainable_corpus, EMA, num_hidden_layers=2, frozen_layers=1)
    assert run_experiment(copy.deepcopy(config), str(folder), "train_and_eval") == 0
    return folder


def run(trainer, steps: int):
    with trainer.strategy.scope():
        return trainer.train(tf.constant(steps))


def values(variables):
    return [variable.numpy() for variable in variables]


def averages(trainer):
    return [trainer.optimizer.get_slot(v, "average") for v in trainer.model.trainable_variables]


def test_the_average_is_one_of_weights_since_the_first_step(make_trainer):
    trainer = make_trainer({"trainer": {"optimizer_config": {"ema": EMA}}})
    expected = values(trainer.model.trainable_variables)
    for _ in range(3):
        run(trainer, 1)
        weights = values(trainer.model.trainable_variables)
        expected = [0.9 * old + 0.1 * new for old, new in zip(expected, weights, strict=True)]
    for got, want in zip(values(averages(trainer)), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_an_evaluation_sees_the_average_and_leaves_every_bit_of_the_weights(make_trainer):
    trainer = make_trainer({"trainer": {"optimizer_config": {"ema": EMA}}})
    run(trainer, 2)
    weights, means = values(trainer.model.trainable_variables), values(averages(trainer))
    seen = []
    evaluate = trainer._compiled_evaluation
    trainer._compiled_evaluation = lambda inputs: (
        seen.append(values(trainer.model.trainable_variables)) or evaluate(inputs)
    )
    with trainer.strategy.scope():
        trainer.evaluate(tf.constant(1))
    for got, want in (
        (seen[0], means),
        (values(trainer.model.trainable_variables), weights),
        (values(averages(trainer)), means),
    ):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_model_of_a_run_is_its_average(averaged):
    """The frozen layer has no average: its weights are those of the checkpoint."""
    reader = tf.train.load_checkpoint(str(averaged))
    names = reader.get_variable_to_shape_map()
    means = {name for name in names if SLOT in name}
    assert 0 < len(means) < sum(name.startswith("model/") for name in names)
    encoder = load_model(averaged).encoder
    path = tf.train.Checkpoint(model=encoder).write(str(averaged.parent / "loaded"))
    loaded = tf.train.load_checkpoint(path)
    for name in loaded.get_variable_to_shape_map():
        if not name.endswith(VALUE):
            continue
        mean = name.removesuffix(VALUE) + SLOT + VALUE
        expected = reader.get_tensor(mean if mean in means else name)
        np.testing.assert_array_equal(loaded.get_tensor(name), expected, err_msg=name)
        assert mean not in means or np.any(expected != reader.get_tensor(name))


def test_the_mean_of_the_last_checkpoints_is_a_model(averaged, tmp_path, monkeypatch):
    """Of the weights that the steps trained, although the run keeps a moving average."""
    folder = tmp_path / "mean"
    options = ["--model", str(averaged), "--last", "2", "--output", str(folder)]
    monkeypatch.setattr(sys, "argv", ["average", *options])
    average.main()
    paths = average.kept_checkpoints(averaged)[-2:]
    assert len(set(paths)) == 2
    trained = [tf.train.load_checkpoint(path) for path in paths]
    mean = tf.train.load_checkpoint(str(folder))
    names = [name for name in mean.get_variable_to_shape_map() if name.endswith(VALUE)]
    assert len(names) == len(load_model(folder).encoder.variables)
    for name in names:
        first, last = (reader.get_tensor(name) for reader in trained)
        np.testing.assert_allclose(mean.get_tensor(name), (first + last) / 2, atol=1e-7)


def test_training_starts_from_the_average_of_another_run(averaged, make_trainer):
    started = make_trainer({"task": {"model": {"init_from": str(averaged)}}})
    expected = load_model(averaged).encoder
    for got, want in zip(started.model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_the_average_is_written_once(averaged):
    """Model Garden writes the whole checkpoint again, with weights and averages exchanged."""
    assert not (averaged / "ema_checkpoints").exists()


@pytest.mark.parametrize("mode", ["train_and_eval", "eval"])
def test_switching_the_average_off_is_refused(averaged, trainable_corpus, mode):
    config = configuration(trainable_corpus, None, num_hidden_layers=2, frozen_layers=1)
    with pytest.raises(
        UserError, match=r"trainer\.optimizer_config\.ema changed from \{.*\} to None since its"
    ):
        run_experiment(config, str(averaged), mode)


def test_switching_the_average_on_is_refused(trainable_corpus, tmp_path):
    folder = tmp_path / "model"
    config = configuration(trainable_corpus, None)
    config.trainer.train_steps = 2
    assert run_experiment(config, str(folder), "train") == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    config = configuration(trainable_corpus, EMA)
    with pytest.raises(
        UserError, match=r"trainer\.optimizer_config\.ema changed from None to \{.*\} since its"
    ):
        run_experiment(config, str(folder), "train")
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before


def test_a_resumed_run_continues_with_its_average(averaged, trainable_corpus, tmp_path):
    """Half of the run, then the same command again, ends with the same weights and averages."""
    folder = tmp_path / "model"
    for steps in (STEPS // 2, STEPS):
        config = configuration(trainable_corpus, EMA, num_hidden_layers=2, frozen_layers=1)
        config.trainer.train_steps = steps
        assert run_experiment(config, str(folder), "train") == 0
    whole, resumed = (tf.train.load_checkpoint(str(path)) for path in (averaged, folder))
    for name in whole.get_variable_to_shape_map():
        if name.startswith("model/"):
            np.testing.assert_allclose(
                resumed.get_tensor(name), whole.get_tensor(name), atol=1e-6, err_msg=name
            )
