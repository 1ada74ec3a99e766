"""A run that can start but is probably not as the user wants it prints warnings."""

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.data.testing import TINY_RUN, write_trainable_corpus
from rejoinder.trainer.estimate import describe
from rejoinder.trainer.run import open_run
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.warnings import find_warnings


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with a corpus of 300 pairs, and one of 10 pairs without a test split."""
    folder = tmp_path_factory.mktemp("corpora")
    write_trainable_corpus(folder / "large", pairs=300, test_pairs=60)
    write_trainable_corpus(folder / "small", pairs=10)
    (folder / "both.json").write_text(
        '[{"name": "large", "weight": 9}, {"name": "small", "weight": 1}]'
    )
    return folder


@pytest.fixture
def opened(corpora, tmp_path):
    """Returns a function from overrides to the opened run of both corpora, or of one."""

    def start(override="", corpus="", mode="train_and_eval"):
        config = read_config([], "", {"task.train_data.input_path": str(corpora / corpus)})
        overrides.apply(config, TINY_RUN, "tiny")
        if not corpus:
            for data in (config.task.train_data, config.task.validation_data):
                data.data_config = str(corpora / "both.json")
        if override:
            overrides.apply(config, overrides.load_override(override), "test")
        strategy = tf.distribute.get_strategy()
        return open_run(config, str(tmp_path / "model"), mode=mode, strategy=strategy)

    return start


def test_an_ordinary_run_has_no_warnings(opened):
    assert list(find_warnings(opened(corpus="large"))) == []


def test_repeated_pairs_are_named_by_data_set(opened, corpora):
    small = corpora / "small"
    found = list(find_warnings(opened("trainer.train_steps=100", mode="train")))
    assert found == [
        f"a batch draws 16 pairs at once from {small}, which has 10: pairs repeat inside the batch "
        "(task.train_data.global_batch_size)",
        f"the run passes 16 times over the 10 pairs of {small} (trainer.train_steps)",
    ]
    parts = "task.train_data.datasets_per_batch=2"  # of 8 pairs
    assert list(find_warnings(opened(parts, mode="train"))) == []


def test_data_sets_that_are_not_evaluated_are_named(opened, corpora):
    run = opened("task.train_data.datasets_per_batch=2")
    assert [corpus.data_set.name for corpus in run.validation_corpora] == ["large"]
    assert list(find_warnings(run)) == [
        f"{corpora / 'small'} has no 'test' pairs and is not evaluated"
    ]
    run = opened("task.validation_data.global_batch_size=99", corpus="large")
    assert list(find_warnings(run)) == [
        f"{corpora / 'large'} has 60 'test' pairs, fewer than a batch (99), and is not evaluated "
        "(task.validation_data.global_batch_size)"
    ]


def test_a_run_without_any_test_split_trains_without_evaluation(opened, corpora):
    run = opened("task.train_data.datasets_per_batch=2,trainer.train_steps=4", corpus="small")
    assert (run.mode, run.validation_corpora) == ("train", ())
    assert list(find_warnings(run)) == [
        f"{corpora / 'small'} has no 'test' pairs and is not evaluated"
    ]
    assert f"warning: {corpora / 'small'} has no 'test' pairs" in describe(run)
    for override, mode in (
        ("trainer.early_stopping_patience=1", "train_and_eval"),
        ("task.validation_data.split=dev", "train_and_eval"),
        ("task.seed=0", "eval"),
    ):
        with pytest.raises(UserError, match=r"small: has no '\w+' pairs \(task\.validation_data\."):
            opened(override, corpus="small", mode=mode)
