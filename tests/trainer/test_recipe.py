"""The published recipe starts: from `pytorch_model.bin`, on four corpora of equal weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from rejoinder.corpus.data_config import parse_data_config
from rejoinder.corpus.naming import TOKENIZER_FOLDER
from rejoinder.errors import UserError
from rejoinder.models.loading import load_model
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.models.testing import tiny_config
from rejoinder.models.weight_files.testing import zip_bytes
from rejoinder.trainer.data.mixture import Mixture
from rejoinder.trainer.data.testing import VOCABULARY, write_trainable_corpus
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.loop import Trainer
from rejoinder.trainer.run import open_run
from rejoinder.trainer.scores import check_metric
from rejoinder.trainer.settings.resolve import read_config, shipped_configs
from rejoinder.trainer.task import DualEncoderTask

RECIPE = "reddit_single_context_mpnet_base"
YEARS = tuple(f"reddit_{year}" for year in range(2015, 2019))
STEPS = 8


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """A folder with a small corpus for each year, of different sizes."""
    folder = tmp_path_factory.mktemp("reddit")
    for number, name in enumerate(YEARS):
        # The last year has no test split.
        tests = {"test_pairs": 40} if number < 3 else {}
        write_trainable_corpus(folder / name, pairs=40 + 30 * number, seed=number, **tests)
    return folder


@pytest.fixture(scope="module")
def base(years, tmp_path_factory):
    """A model folder in the old layout, with `pytorch_model.bin` and no safetensors."""
    folder = tmp_path_factory.mktemp("base") / "model"
    encoder = SentenceEncoder(tiny_config(VOCABULARY))
    save_sentence_transformers(folder, encoder, years / YEARS[0] / TOKENIZER_FOLDER, max_length=64)
    below = folder / "0_Transformer"
    below.mkdir()
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = below.name
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(below / path.name)
    (folder / "modules.json").write_text(json.dumps(modules))
    weights = below / "model.safetensors"
    (below / "pytorch_model.bin").write_bytes(zip_bytes(load_file(weights)))
    weights.unlink()
    return folder


def config(years, base):
    """Returns the recipe for this machine and these sizes."""
    keys = {
        "task.train_data.data_config": "data_config_reddit",
        "task.train_data.global_batch_size": 16,
        "task.validation_data.global_batch_size": 20,
        "task.model.max_length": 64,
        "trainer.train_steps": STEPS,
        "trainer.steps_per_loop": 4,
        "trainer.validation_interval": STEPS,
        "trainer.optimizer_config.warmup.linear.warmup_steps": 2,
        "runtime.distribution_strategy": "one_device",
    }
    override = ",".join(f"{key}={value}" for key, value in keys.items())
    flags = {"task.train_data.input_path": str(years), "task.model.init_from": str(base)}
    return read_config([RECIPE], override, flags)


@pytest.fixture(scope="module")
def trained(years, base, tmp_path_factory):
    """The MODEL_DIR of a finished run."""
    model_dir = tmp_path_factory.mktemp("run") / "model"
    assert run_experiment(config(years, base), str(model_dir), "train_and_eval") == 0
    return model_dir


def test_the_recipe_trains_from_torch_weights_on_four_years(trained):
    report = json.loads((trained / "training.json").read_text())
    assert report["steps"] == STEPS
    assert report["data_sets"] == dict.fromkeys(YEARS, 1)
    assert np.isfinite(report["last_loss"])
    drawn, _ = Mixture((1,) * len(YEARS), 0).draws(0, STEPS)
    for number, name in enumerate(YEARS):
        found, count = report["by_data_set"][name], np.count_nonzero(drawn == number)
        assert (found["weight"], found["pairs"]) == (0.25, 16 * count)
        assert (found["last_loss"] is not None) == (count > 0)


def test_training_begins_with_the_weights_of_the_file(years, base, tmp_path):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    run = open_run(config(years, base), str(tmp_path / "model"), mode="train", strategy=strategy)
    trainer = Trainer(run, DualEncoderTask(run))
    trainer.initialize()
    expected = load_model(base).encoder.variables
    for variable, value in zip(trainer.model.variables, expected, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value.numpy())


def test_a_year_without_a_test_split_is_not_evaluated(trained, years, base, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "model")
    assert run_experiment(config(years, base), str(tmp_path / "model"), "eval") == 0
    shown = capsys.readouterr()
    assert "evaluated" in shown.out
    assert f"warning: {years / YEARS[3]} has no 'test' pairs and is not evaluated" in shown.err


def test_the_best_checkpoint_may_be_that_of_one_year(years, base, tmp_path):
    resolved = config(years, base)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    run = open_run(resolved, str(tmp_path / "model"), mode="train_and_eval", strategy=strategy)
    resolved.trainer.best_checkpoint_eval_metric = "accuracy_reddit_2016"
    check_metric(run, None)
    resolved.trainer.best_checkpoint_eval_metric = "accuracy_reddit_2018"  # without a test split
    metrics = "accuracy, validation_loss, accuracy_reddit_2015, accuracy_reddit_2016"
    with pytest.raises(UserError, match=f"no metric 'accuracy_reddit_2018'; .* are {metrics}"):
        check_metric(run, None)


def test_the_shipped_data_config_is_that_of_the_original():
    path = shipped_configs(".json")["data_config_reddit"]
    sources = parse_data_config(Path(path).read_text())
    assert [source.lines for source in sources] == [
        *(135_108_166, 159_164_386, 191_485_219, 240_726_659)
    ]
    assert sum(source.lines or 0 for source in sources) == 726_484_430
    assert {source.weight for source in sources} == {1}
    assert tuple(source.name for source in sources) == YEARS


def test_the_shipped_mixture_draws_batches_of_one_data_set_by_weight():
    resolved = read_config(["mixture"], "", {"task.train_data.input_path": "corpora"})
    data = resolved.task.train_data
    assert (data.datasets_per_batch, resolved.task.loss.mask_threads) == (1, True)
    sources = parse_data_config(Path(data.data_config).read_text())
    assert {source.name: source.weight for source in sources} == {
        **{"reddit": 6, "chitchat": 2},
        **{"titles": 1, "captions": 1},
    }
    header = Path(shipped_configs()["mixture"]).read_text().splitlines()[0]
    assert f"({sum(source.lines or 0 for source in sources):,} train pairs)" in header
