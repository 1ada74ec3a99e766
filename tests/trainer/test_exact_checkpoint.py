"""What a restored run takes from its checkpoint, and what from its configuration."""

import numpy as np
import pytest


@pytest.mark.parametrize("average", [{}, {"ema": {"average_decay": 0.9}}])
def test_settings_of_the_optimizer_are_those_of_the_configuration(make_trainer, tmp_path, average):
    def configured(beta: float):
        adamw = {"type": "adamw", "adamw": {"beta_1": beta}}
        return make_trainer({"trainer": {"optimizer_config": {"optimizer": adamw, **average}}})

    first = configured(0.9)
    first.model.variables[0].assign(first.model.variables[0] + 1.0)
    path = first.checkpoint.save(str(tmp_path / "ckpt"))
    second = configured(0.5)
    second.checkpoint.restore(path)
    optimizer = second.optimizer._optimizer if average else second.optimizer
    assert float(optimizer.beta_1) == 0.5
    np.testing.assert_array_equal(second.model.variables[0], first.model.variables[0])
