"""Settings that contradict each other, are missing or have no effect are errors."""

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.settings.resolve import read_config

RATE = "trainer.optimizer_config.learning_rate"
WARMUP = "trainer.optimizer_config.warmup"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "trainer.train_steps=100",
            rf"{WARMUP}\.linear\.warmup_steps: must be at most trainer\.train_steps \(100\), got 5",
        ),
        (f"{WARMUP}.linear.warmup_steps=-1", rf"{WARMUP}\.linear\.warmup_steps: must be at least"),
        (f"{WARMUP}.type=polynomial", rf"{WARMUP}\.polynomial\.warmup_steps: must be set"),
        (f"{RATE}.type=cosine", rf"{RATE}\.cosine\.initial_learning_rate: must be set"),
        (f"{RATE}.type=null", rf"{RATE}\.type: must be set"),
        (
            f"{RATE}={{type: stepwise, stepwise: {{boundaries: [9, 5], values: [1, 2, 3]}}}}",
            rf"{RATE}\.stepwise\.boundaries: must increase, got \[9, 5\]",
        ),
        (
            f"{RATE}={{type: stepwise, stepwise: {{boundaries: [5], values: [1]}}}}",
            rf"{RATE}\.stepwise\.values: must have 2 numbers for 1 boundaries, got \[1\.0\]",
        ),
        (
            "task.loss.learn_scale=true,task.loss.scale=200",
            r"task\.loss\.scale: a learned scale must begin between 1 and .* \(100\), got 200",
        ),
        ("task.init_checkpoint=x", r"task\.init_checkpoint: is not used; set task\.model\.init_fr"),
        (
            "task.differential_privacy_config.noise_multiplier=1",
            r"task\.differential_privacy_config: is not supported",
        ),
    ],
)
def test_settings_that_make_no_sense_name_the_key(override, message):
    with pytest.raises(UserError, match=message):
        read_config([], override, {})


def test_a_warm_up_may_last_as_long_as_the_run():
    override = f"trainer.train_steps=500,{WARMUP}.linear.warmup_steps=500"
    assert read_config([], override, {}).trainer.train_steps == 500
    assert read_config([], f"{WARMUP}.type=null", {}).trainer.optimizer_config.warmup.type is None
