"""Which devices a run uses when the user names none."""

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.config import default_config
from rejoinder.trainer.distribution import strategy


@pytest.fixture
def gpus(monkeypatch):
    """Returns a function that gives this machine GPUs, and the strategies that are then made."""
    made = []

    def install(number):
        devices = {"GPU": [f"GPU:{n}" for n in range(number)]}
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices[kind])
        monkeypatch.setattr(
            strategy.distribute_utils,
            "get_distribution_strategy",
            lambda name, *, num_gpus, tpu_address: made.append((name, num_gpus)),
        )
        return made

    return install


@pytest.mark.parametrize(
    ("present", "asked", "expected"),
    [
        (0, 0, ("one_device", 0)),
        (1, 0, ("one_device", 1)),
        (8, 0, ("mirrored", 8)),
        (8, 2, ("mirrored", 2)),
        (8, 1, ("one_device", 1)),
    ],
)
def test_a_run_without_a_strategy_uses_every_gpu(gpus, present, asked, expected):
    made = gpus(present)
    name = default_config().runtime.distribution_strategy
    strategy.make_strategy(name, num_gpus=asked)
    assert made == [expected]


def test_a_run_without_a_strategy_uses_the_cpu_where_no_gpu_is():
    name = default_config().runtime.distribution_strategy
    made = strategy.make_strategy(name)
    assert isinstance(made, tf.distribute.OneDeviceStrategy)
    assert tf.DeviceSpec.from_string(made.extended.worker_devices[0]).device_type == "CPU"


def test_one_device_without_gpus_is_the_cpu_on_any_machine(gpus):
    made = gpus(2)
    strategy.make_strategy("one_device")
    assert made == [("one_device", 0)]


def test_more_gpus_than_there_are_is_an_error(gpus):
    gpus(1)
    with pytest.raises(UserError, match=r"num_gpus: this machine has 1 GPUs .* got 2"):
        strategy.make_strategy("auto", num_gpus=2)
