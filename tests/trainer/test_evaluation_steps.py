"""The steps at which a run is evaluated do not depend on where it was interrupted."""

import types

import numpy as np
import pytest

from rejoinder.trainer.config import TrainerConfig
from rejoinder.trainer.distribution.hosts import Hosts
from rejoinder.trainer.evaluation_steps import train_and_evaluate


class Controller:
    """Counts steps and notes the evaluations, as orbit's controller is called."""

    def __init__(self, step):
        self.global_step = types.SimpleNamespace(numpy=lambda: np.int64(self.step))
        self.checkpoint_manager = types.SimpleNamespace(sync=lambda: None)
        self.step, self.evaluations, self.saved = step, [], None

    def train(self, steps, checkpoint_at_completion):
        assert not checkpoint_at_completion
        self.step = steps

    def evaluate(self, steps):
        self.evaluations.append(self.step)

    def save_checkpoint(self):
        self.saved = self.step


@pytest.mark.parametrize(
    ("start", "evaluated", "expected"),
    [
        (0, None, [4, 8, 10]),
        (3, None, [4, 8, 10]),
        (5, 4, [8, 10]),
        (4, None, [4, 8, 10]),  # cut off after the checkpoint of step 4
        (4, 4, [8, 10]),
        (8, 4, [8, 10]),
        (10, None, [10]),  # cut off in the evaluation of the last step
        (10, 8, [10]),
        (10, 10, []),
    ],
)
def test_a_resumed_run_is_evaluated_at_the_same_steps(start, evaluated, expected):
    controller = Controller(start)
    config = TrainerConfig(train_steps=10, validation_interval=4, validation_steps=-1)
    train_and_evaluate(controller, config, Hosts(), evaluated=evaluated)
    assert controller.evaluations == expected
    assert controller.saved == 10
