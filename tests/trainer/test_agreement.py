"""Hosts that were started with other data or settings than the chief do not train together."""

import shutil

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.agreement import check_agreement
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.distribution.hosts import Host, Hosts
from rejoinder.trainer.run import open_run
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config

MEMBERS = [Host("worker", 0, "a:1"), Host("worker", 1, "b:1")]


@pytest.fixture
def start(tmp_path):
    """Returns a function that checks one host's run; the chief is checked before the other."""
    of_chief: list[int] = []

    def check(index, corpus, values=None, mode="train"):
        config = read_config([], "", {"task.train_data.input_path": str(corpus)})
        overrides.apply(config, TINY_RUN, "tiny")
        overrides.apply(config, values or {}, "test")
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        run = open_run(config, str(tmp_path / "model"), mode=mode, strategy=strategy)
        hosts = Hosts(MEMBERS, index)
        if index == 0:
            hosts.gather = lambda value: of_chief.append(value) or [value, value]
        else:
            hosts.gather = lambda value: [of_chief.pop(0), value]
        run.__dict__["hosts"] = hosts
        check_agreement(run)

    return check


def test_hosts_may_have_their_own_copy_of_the_corpus(start, trainable_corpus, tmp_path):
    copy = tmp_path / "other" / trainable_corpus.name
    shutil.copytree(trainable_corpus, copy)
    start(0, trainable_corpus)
    start(1, copy)


@pytest.mark.parametrize(
    ("values", "mode", "what"),
    [
        ({"task": {"train_data": {"seed": 1}}}, "train", "training data"),
        ({"task": {"train_data": {"row_length": 16}}}, "train", "settings"),
        ({"task": {"loss": {"scale": 10.0}}}, "train", "settings"),
        ({"trainer": {"train_steps": 30}}, "train", "settings"),
        ({"runtime": {"mixed_precision_dtype": "bfloat16"}}, "train", "settings"),
        ({}, "train_and_eval", "settings"),
    ],
)
def test_a_host_that_differs_is_named(start, trainable_corpus, values, mode, what):
    start(0, trainable_corpus)
    with pytest.raises(UserError, match=rf"worker 1 \(b:1\) has other {what} than worker 0 \(a"):
        start(1, trainable_corpus, values, mode)
