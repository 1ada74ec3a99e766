"""Weight decay applies to matrices only, not to norms, biases or the relative bias."""

import numpy as np
import tensorflow as tf

from rejoinder.trainer.task import apply_summed

DECAY = {"trainer": {"optimizer_config": {"optimizer": {"adamw": {"weight_decay_rate": 0.5}}}}}


def shrunk_by_a_step_without_gradient(trainer) -> dict[str, bool]:
    variables = trainer.task.variables_to_train(trainer.model)
    for variable in variables:
        variable.assign_add(tf.ones_like(variable))  # a zero cannot shrink
    trainer.optimizer.iterations.assign(2)  # after the warm-up's zero
    before = [variable.numpy() for variable in variables]
    apply_summed(trainer.optimizer, [(tf.zeros_like(v), v) for v in variables])
    return {
        variable.name: bool(np.any(variable.numpy() != old))
        for variable, old in zip(variables, before, strict=True)
    }


def test_only_matrices_are_decayed(make_trainer):
    shrunk = shrunk_by_a_step_without_gradient(make_trainer(DECAY))
    kept = {name for name, changed in shrunk.items() if not changed}
    assert kept == {name for name in shrunk if "layer_norm" in name or "bias" in name}
    decayed = set(shrunk) - kept
    assert all("kernel" in name or "embeddings" in name for name in decayed)
    assert any("word_embeddings" in name for name in decayed)
    assert any("relative_bias" in name for name in kept)


def test_the_published_recipe_decays_nothing(make_trainer):
    assert not any(shrunk_by_a_step_without_gradient(make_trainer()).values())
