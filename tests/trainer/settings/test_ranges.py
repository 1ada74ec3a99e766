"""Every number of the configuration has a range, and a number outside of it names its key."""

import math
import re

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.config import default_config
from rejoinder.trainer.settings.ranges import Range, numeric_keys, range_of
from rejoinder.trainer.settings.resolve import read_config, shipped_configs

KEYS = [key for key, _ in numeric_keys(default_config())]


def test_every_key_that_holds_numbers_has_a_range():
    # The averaging of weights is absent by default, its keys are not.
    assert {"task.loss.scale", "trainer.optimizer_config.ema.average_decay"} <= set(KEYS)
    assert [key for key in KEYS if range_of(key) is None] == []


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_the_shipped_configurations_are_inside_their_ranges(name):
    read_config([name], "", {})


@pytest.mark.parametrize("key", KEYS)
def test_a_number_outside_of_its_range_names_the_key(key):
    numbers = range_of(key)
    outside = [numbers.minimum - 7]
    if numbers.maximum < 1e6:
        outside.append(math.ceil(numbers.maximum) + 1)
    for value in outside:
        with pytest.raises(UserError, match=rf"^{re.escape(key)}: must be .* got \[?{value:g}"):
            read_config([], f"{key}={value:g}", {})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.loss.scale=0", "task.loss.scale: must be greater than 0, got 0.0"),
        ("task.loss.scale=1e999", "scale: must be greater than 0 and at most 9.*7, got inf"),
        ("trainer.train_steps=1e19", "train_steps: must be at least 1 and at most 9.*7, got 1000"),
        ("task.seed=-1", "task.seed: must be at least 0 and at most 2147483647, got -1"),
        ("task.grad_cache_chunks=0", "task.grad_cache_chunks: must be at least 1, got 0"),
        ("trainer.steps_per_loop=0", "trainer.steps_per_loop: must be at least 1, got 0"),
        ("trainer.validation_steps=0", "trainer.validation_steps: must be at least 1, or -1, got"),
        ("task.train_data.row_length=2", "row_length: must be at least 3, or 0, got 2"),
        ("task.train_data.global_batch_size=1", "global_batch_size: must be at least 2, got 1"),
        ("task.loss.matryoshka_dims=8,0", r"matryoshka_dims: must be at least 1, got \[8, 0\]"),
        ("task.model.hidden_dropout_prob=1", "must be at least 0 and below 1, got 1.0"),
    ],
)
def test_the_message_says_what_is_allowed(override, message):
    with pytest.raises(UserError, match=message):
        read_config([], override, {})


def test_a_range_excludes_what_is_not_a_finite_number():
    assert math.nan not in Range(0)
    assert math.inf not in Range(0)
    assert 2**63 not in Range(0)
    assert 1e30 in Range(0)
    assert -1 in Range(1, also=-1)
