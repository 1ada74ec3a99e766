"""Learning rate: the warm-up ends exactly at the peak, the decay exactly at zero."""

import numpy as np
import pytest
from official.modeling import optimization

from rejoinder.trainer.config import default_config
from rejoinder.trainer.settings.schedule import complete_schedule


def published():
    config = default_config()
    config.trainer.train_steps = 540_000
    complete_schedule(config.trainer)
    return optimization.OptimizerFactory(config.trainer.optimizer_config).build_learning_rate()


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (1, 2e-5 / 500),
        (250, 1e-5),
        (500, 2e-5),
        (270_250, 1e-5),
        (539_999, 2e-5 / 539_500),
        (540_000, 0.0),
    ],
)
def test_published_schedule(step, rate):
    np.testing.assert_allclose(published()(step).numpy(), rate, rtol=1e-5, atol=1e-12)


def test_peak_is_exact():
    schedule = published()
    assert schedule(500).numpy() == np.float32(2e-5)
    assert max(schedule(step).numpy() for step in range(490, 511)) == np.float32(2e-5)


def test_configured_decay_steps_are_kept():
    config = default_config()
    config.trainer.optimizer_config.learning_rate.polynomial.decay_steps = 7
    complete_schedule(config.trainer)
    assert config.trainer.optimizer_config.learning_rate.polynomial.decay_steps == 7
