"""The training step as a graph, and the effect of its options."""

import json

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.trainer.data.prefetch import Prefetcher
from rejoinder.trainer.data.testing import write_trainable_corpus


def run(trainer, steps: int):
    with trainer.strategy.scope():
        return trainer.train(tf.constant(steps))


def step_graph(trainer):
    prefetcher = Prefetcher(trainer.train_input, trainer.strategy, last=1)
    inputs = next(prefetcher).inputs
    prefetcher.close()
    return trainer._compiled_step.get_concrete_function(inputs).graph


def operations(graph):
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def test_no_python_and_no_text_in_the_step(make_trainer):
    for operation in operations(step_graph(make_trainer())):
        assert operation.type not in ("PyFunc", "EagerPyFunc", "PyFuncStateless")
        for tensor in operation.outputs:
            assert tensor.dtype != tf.string, operation.name


def test_every_batch_has_the_same_static_shapes(make_trainer):
    trainer = make_trainer()
    run(trainer, 20)
    assert trainer._compiled_step.experimental_get_tracing_count() == 1


def test_training_lowers_the_loss_and_evaluation_sees_it(make_trainer):
    trainer = make_trainer()
    before = trainer.evaluate(tf.constant(-1))
    first = run(trainer, 2)["training_loss"]
    run(trainer, 16)
    assert run(trainer, 2)["training_loss"] < first
    after = trainer.evaluate(tf.constant(-1))
    assert after["validation_loss"] < before["validation_loss"]


def test_the_loss_of_a_data_set_is_logged_if_it_had_pairs(make_trainer, tmp_path):
    for name in "ab":
        write_trainable_corpus(tmp_path / name, pairs=60, test_pairs=40)
    weights = [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]
    (tmp_path / "data_config.json").write_text(json.dumps(weights))
    data = {"input_path": str(tmp_path), "data_config": str(tmp_path / "data_config.json")}
    trainer = make_trainer({"task": {"train_data": {**data, "datasets_per_batch": 1}}})
    seen = set()
    for _ in range(4):
        logs = run(trainer, 1)
        logged = {name: value for name, value in logs.items() if name in ("loss_a", "loss_b")}
        assert list(logged.values()) == [pytest.approx(logs["training_loss"], rel=1e-5)]
        seen |= set(logged)
    assert seen == {"loss_a", "loss_b"}


def test_validation_has_the_accuracy_of_each_data_set(make_trainer, tmp_path):
    for number, name in enumerate("abc"):
        lengths = (4 + 4 * number, 5 + 4 * number)
        write_trainable_corpus(tmp_path / name, pairs=20, test_pairs=40, lengths=lengths)
    weights = [{"name": name, "weight": 1} for name in "abc"]
    (tmp_path / "data_config.json").write_text(json.dumps(weights))
    data = {"input_path": str(tmp_path), "data_config": str(tmp_path / "data_config.json")}
    trainer = make_trainer({"task": {"train_data": data, "validation_data": data}})
    logs = trainer.evaluate(tf.constant(-1))
    found = {name: value for name, value in logs.items() if name.startswith("accuracy_")}
    assert list(found) == ["accuracy_a", "accuracy_b", "accuracy_c"]
    assert np.mean(list(found.values())) == pytest.approx(logs["accuracy"], abs=1e-6)
    assert len(set(found.values())) > 1


def test_frozen_layers_keep_their_weights_and_the_others_learn(make_trainer):
    trainer = make_trainer({"task": {"model": {"num_hidden_layers": 2, "frozen_layers": 1}}})
    before = {variable.name: variable.numpy() for variable in trainer.model.variables}
    run(trainer, 3)
    learned = {v.name for v in trainer.model.variables if np.any(v.numpy() != before[v.name])}
    trained = {variable.name for variable in trainer.model.trainable_variables}
    assert learned == trained
    assert 0 < len(trained) < len(before)


@pytest.mark.parametrize("frozen", [-1, 1, 99])
def test_frozen_layers_that_leave_nothing_to_train_name_the_key(make_trainer, frozen):
    with pytest.raises(UserError, match=rf"task\.model\.frozen_layers: .* got {frozen}"):
        make_trainer({"task": {"model": {"frozen_layers": frozen}}})


def test_dropout_is_that_of_the_base_model_unless_set(make_trainer, tmp_path):
    first = make_trainer({"task": {"model": {"hidden_dropout_prob": 0.3}}})
    save_sentence_transformers(tmp_path, first.model, first.task._run.base.tokenizer_folder)
    for chosen, expected in ({}, 0.3), ({"hidden_dropout_prob": 0}, 0.0):
        trainer = make_trainer({"task": {"model": {"init_from": str(tmp_path), **chosen}}})
        assert trainer.model.config.hidden_dropout_prob == expected
    with pytest.raises(UserError, match=r"task\.model\.hidden_dropout_prob: .* got 1.5"):
        make_trainer({"task": {"model": {"hidden_dropout_prob": 1.5}}})


@pytest.mark.host_xla
def test_xla_compiles_the_whole_step(make_trainer):
    """Without dropout, because XLA generates other random bits."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain = make_trainer({"task": {"model": no_dropout}})
    compiled = make_trainer({"task": {"model": no_dropout}, "runtime": {"enable_xla": True}})
    for _ in range(2):
        a, b = run(plain, 1), run(compiled, 1)
        np.testing.assert_allclose(b["training_loss"], a["training_loss"], rtol=1e-5)
        np.testing.assert_allclose(b["gradient_norm"], a["gradient_norm"], rtol=1e-4)


def test_a_restored_run_continues_with_the_same_bits(make_trainer, tmp_path):
    """Dropout masks are a function of the step."""
    whole = make_trainer()
    run(whole, 3)
    path = whole.checkpoint.save(str(tmp_path / "ckpt"))
    expected = run(whole, 3)["training_loss"]
    again = make_trainer()
    again.checkpoint.restore(path).assert_consumed()
    assert run(again, 3)["training_loss"] == expected
    for a, b in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_learned_scale_is_clamped_and_saved(make_trainer, tmp_path):
    loss = {"learn_scale": True, "max_scale": 20.0, "scale": 20.0}
    trainer = make_trainer({"task": {"loss": loss}})
    assert run(trainer, 5)["scale"] <= 20.0
    names = dict(tf.train.list_variables(trainer.checkpoint.save(str(tmp_path / "ckpt"))))
    assert any(name.startswith("log_scale") for name in names)


def test_average_of_the_weights_is_evaluated(make_trainer):
    trainer = make_trainer({"trainer": {"optimizer_config": {"ema": {"average_decay": 0.9}}}})
    run(trainer, 3)
    before = trainer.model.weights[0].numpy()
    with trainer.strategy.scope():
        trainer.evaluate(tf.constant(1))
    np.testing.assert_allclose(trainer.model.weights[0].numpy(), before, atol=1e-5)
    average = trainer.optimizer.get_slot(trainer.model.trainable_variables[0], "average")
    assert np.abs(average.numpy()).max() > 0


def test_recomputed_activations_give_the_same_step(make_trainer):
    """Dropout masks included; what is saved is memory, measured in docs/training.md."""
    results = []
    for recompute in (False, True):
        trainer = make_trainer({"task": {"model": {"recompute": recompute}}})
        assert trainer.model.mpnet.recompute is recompute
        logs = run(trainer, 3)
        results.append((logs["training_loss"], logs["gradient_norm"]))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


@pytest.mark.parametrize("options", [{"layout": "padded"}, {"layout": "bucketed"}])
def test_other_layouts_train(make_trainer, options):
    assert np.isfinite(run(make_trainer({"task": {"train_data": options}}), 2)["training_loss"])
