"""Whole runs on a tiny corpus: checks, checkpoints, recovery, and the end of a run."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.loop import Trainer
from rejoinder.trainer.settings.resolve import read_config

STEPS = 12
LOOP = {
    "trainer": {
        "train_steps": STEPS,
        "steps_per_loop": 2,
        "checkpoint_interval": 4,
        "validation_interval": 4,
    }
}


@pytest.fixture
def run(trainable_corpus, tmp_path):
    """Returns a function from overrides to the folder of a finished run."""

    def start(values=None, mode="train", folder="model"):
        flags = {"task.train_data.input_path": str(trainable_corpus)}
        files = [tmp_path / "tiny.yaml", tmp_path / "loop.yaml", tmp_path / "test.yaml"]
        for file, content in zip(files, (TINY_RUN, LOOP, values or {}), strict=True):
            file.write_text(json.dumps(content))  # JSON is YAML
        config = read_config([str(file) for file in files], "", flags)
        assert run_experiment(config, str(tmp_path / folder), mode) == 0
        return tmp_path / folder

    return start


def final(folder) -> dict[str, np.ndarray]:
    """Returns the model's weights in the checkpoint of the last step."""
    reader = tf.train.load_checkpoint(str(folder))
    assert reader.get_tensor("global_step/.ATTRIBUTES/VARIABLE_VALUE") == STEPS
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("model/")]
    return {name: reader.get_tensor(name) for name in names}


def assert_close(got, expected):
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)


def events(folder) -> dict[str, list[tuple[int, float]]]:
    """Returns the curves of a TensorBoard folder."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                curves.setdefault(value.tag, []).append((event.step, number))
    return curves


def test_the_curves_of_a_run_are_complete(run):
    folder = run(mode="train_and_eval")
    curves = events(folder / "train")
    assert {
        *("training_loss", "accuracy", "learning_rate", "gradient_norm"),
        *("pairs_per_second", "tokens_per_second", "real_tokens", "cut_tokens"),
    } <= set(curves)
    assert [step for step, _ in curves["training_loss"]] == list(range(2, STEPS + 1, 2))
    rates = dict(curves["learning_rate"])
    assert rates[2] == pytest.approx(1e-2)  # warm-up ends exactly at the peak
    assert rates[STEPS] == 0
    assert {"validation_loss", "accuracy"} <= set(events(folder / "validation"))


def test_asynchronous_checkpoints_hold_the_same_weights(run):
    plain = final(run(folder="plain"))
    assert_close(final(run({"trainer": {"async_checkpoints": True}}, folder="async")), plain)


def test_the_best_checkpoint_is_kept(run, monkeypatch):
    """Evaluations score 1, 3, 2: the checkpoint of the second one is kept."""
    scores = iter([1.0, 3.0, 2.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda self, steps: _scored(self, next(scores)))
    folder = run(mode="train_and_eval")
    info = json.loads((folder / "best/ckpt-8.json").read_text())
    assert info["metrics"]["accuracy"] == 3.0
    assert info["step"] == 8
    reader = tf.train.load_checkpoint(str(folder / "best"))
    assert reader.get_tensor("global_step/.ATTRIBUTES/VARIABLE_VALUE") == 8


def test_a_run_that_was_killed_in_its_last_evaluation_evaluates_again(run, monkeypatch, capsys):
    """Of three evaluations the first is best, and the last is cut off."""
    calls = iter([3.0, 2.0, None, 1.0])

    def finish(self, logs):
        score = next(calls)
        if score is None:
            raise KeyboardInterrupt
        return _scored(self, score)

    monkeypatch.setattr(Trainer, "eval_end", finish)
    every_loop = {"trainer": {"checkpoint_interval": 2}}  # one is that of the last step
    with pytest.raises(KeyboardInterrupt):
        run(every_loop, mode="train_and_eval")
    capsys.readouterr()
    folder = run(every_loop, mode="train_and_eval")
    output = capsys.readouterr().out
    assert f"evaluated at step {STEPS} | accuracy 1.0000" in output
    assert f"already trained to step {STEPS}; evaluated it" in output
    report = json.loads((folder / "training.json").read_text())
    assert (report["steps"], report["steps_this_run"], report["evaluated_step"]) == (
        STEPS,
        0,
        STEPS,
    )
    assert run(every_loop, mode="train_and_eval") == folder
    output = capsys.readouterr().out
    assert f"already trained to step {STEPS}; nothing to do" in output
    assert "evaluated at step" not in output


def test_the_report_of_an_older_version_means_that_the_last_step_was_evaluated(run, capsys):
    folder = run(mode="train_and_eval")
    report = json.loads((folder / "training.json").read_text())
    del report["evaluated_step"]
    (folder / "training.json").write_text(json.dumps(report))
    capsys.readouterr()
    run(mode="train_and_eval")
    assert "nothing to do" in capsys.readouterr().out


def _scored(trainer, accuracy):
    logs = {"accuracy": accuracy, "validation_loss": 1.0}
    exporter = trainer.checkpoint_exporter
    if exporter:
        exporter.maybe_export_checkpoint(trainer.checkpoint, logs, int(trainer.global_step.numpy()))
    return logs


def test_training_stops_early_and_keeps_its_last_step(run, monkeypatch, capsys):
    scores = iter([3.0, 2.0, 1.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda self, steps: _scored(self, next(scores)))
    folder = run({"trainer": {"early_stopping_patience": 1}}, mode="train_and_eval")
    assert "stopped early: accuracy has not improved in 1 evaluations" in capsys.readouterr().out
    assert json.loads((folder / "training.json").read_text())["steps"] == 8
    assert tf.train.latest_checkpoint(str(folder)).endswith("ckpt-8")


def test_early_stopping_needs_a_metric_that_exists(run):
    watch = {"early_stopping_patience": 1, "best_checkpoint_eval_metric": "f1"}
    with pytest.raises(UserError, match=r"best_checkpoint_eval_metric: no metric 'f1'; the "):
        run({"trainer": watch}, mode="train_and_eval")


def test_a_loss_that_is_not_finite_ends_the_run(run):
    with pytest.raises(UserError, match=r"the loss is nan; lower the peak learning rate"):
        run(_explosive(0))


def test_recovery_that_never_helps_ends_the_run(run):
    """The weights and batches are the same, so a divergence of the recipe repeats."""
    with pytest.raises(
        UserError, match=r"The loss value is NaN .* 1 recoveries did not help; lower the"
    ):
        run(_explosive(1))


def _explosive(trials):
    rate = {"learning_rate": {"polynomial": {"initial_learning_rate": 1e30}}}
    return {"trainer": {"optimizer_config": rate, "recovery_max_trials": trials or -1}}


def test_a_run_recovers_from_a_single_divergence(run, monkeypatch):
    """Weights and loss are NaN once: the run restores its checkpoint and ends like any other."""
    uninterrupted = final(run(folder="uninterrupted"))
    train, broken = Trainer.train, []

    def break_once(self, steps):
        logs = train(self, steps)
        if int(self.global_step.numpy()) == 8 and not broken:
            broken.append(True)
            for variable in self.model.trainable_variables:
                variable.assign(variable * math.nan)
            logs["training_loss"] = math.nan
        return logs

    monkeypatch.setattr(Trainer, "train", break_once)
    folder = run({"trainer": {"recovery_max_trials": 1}}, folder="recovered")
    assert broken
    assert_close(final(folder), uninterrupted)


def test_continuous_evaluation_ends_with_the_last_checkpoint(run):
    folder = run()
    assert not (folder / "validation").exists()
    run({"trainer": {"continuous_eval_timeout": 1}}, mode="continuous_eval")
    assert [step for step, _ in events(folder / "validation")["accuracy"]] == [STEPS]


def test_evaluation_without_a_checkpoint_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint to evaluate"):
        run(mode="eval", folder="nothing")


def test_full_disk_names_the_folder(run, monkeypatch):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "ckpt-4: No space left on device")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(UserError, match=r"model: the disk is full; free space and run the same"):
        run()


def test_another_corpus_is_refused_by_name(run, trainable_corpus, monkeypatch):
    """The manifest names other shards than those of the checkpoint."""
    from rejoinder.trainer import run as module

    run()
    opened = module.open_corpora

    def changed(*arguments, **options):
        corpora = opened(*arguments, **options)
        for corpus in corpora:
            first = corpus.data_set.shards[0]
            object.__setattr__(first, "sha256", "0" * 64)
        return corpora

    monkeypatch.setattr(module, "open_corpora", changed)
    with pytest.raises(UserError, match=r"model: corpus 'corpus' changed \(shards\) since its"):
        run()


def test_a_checkpoint_of_another_model_is_refused(run):
    two_layers = {"num_hidden_layers": 2}
    folder = run({"task": {"model": two_layers}})
    before = (folder / "params.yaml").read_bytes()
    cases = [
        ({"task": {"model": {}}}, "the encoder's num_hidden_layers changed from 2 to 1"),
        (
            {"task": {"model": two_layers | {"frozen_layers": 1}}},
            r"model: task\.model\.frozen_layers changed from 0 to 1 since its checkpoint",
        ),
        (
            {"task": {"model": two_layers, "loss": {"learn_scale": True}}},
            r"model: task\.loss\.learn_scale changed from False to True since its checkpoint",
        ),
        (
            {
                "task": {"model": two_layers},
                "trainer": {"optimizer_config": {"optimizer": {"type": "sgd"}}},
            },
            r"optimizer\.type changed from '\w+' to 'sgd' since its checkpoint",
        ),
    ]
    for values, message in cases:
        with pytest.raises(UserError, match=message):
            run(values)
    assert (folder / "params.yaml").read_bytes() == before
    wider = {"task": {"model": two_layers | {"hidden_size": 64}}}
    with pytest.raises(UserError, match="the encoder's hidden_size changed from 16 to 64"):
        run(wider, mode="eval")
    run({"task": {"model": two_layers | {"frozen_layers": 1}}}, mode="eval")  # trains nothing


@pytest.mark.parametrize("mode", ["train", "eval", "train_and_eval"])
def test_a_run_loads_the_manifest_of_a_corpus_once(run, monkeypatch, mode):
    from rejoinder.trainer.data import corpora

    if mode == "eval":
        run()
    load, loaded = corpora.load_manifest, []
    monkeypatch.setattr(corpora, "load_manifest", lambda f: loaded.append(f) or load(f))
    run(mode=mode)
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": {"train_data": {"global_batch_size": 0}}}, r"train_data\.global_batch_size"),
        ({"task": {"train_data": {"split": "dev"}}}, r"no 'dev' pairs \(task\.train_data\.split\)"),
        ({"task": {"validation_data": {"split": "dev"}}}, r"task\.validation_data\.split"),
        ({"task": {"validation_data": {"global_batch_size": 99}}}, r"must not exceed the pairs"),
        ({"task": {"grad_cache_chunks": 0}}, r"task\.grad_cache_chunks: must be at least 1"),
        ({"task": {"grad_cache_chunks": 99}}, r"task\.grad_cache_chunks: must be at most the \d+"),
        ({"task": {"train_data": {"row_length": 5}}}, r"task\.train_data\.row_length: rows of 5"),
        ({"task": {"loss": {"matryoshka_dims": [99]}}}, r"task\.loss\.matryoshka_dims: .* \[99\]"),
        ({"task": {"model": {"init_from": "nowhere"}}}, "nowhere"),
        ({"runtime": {"mixed_precision_dtype": "float16"}}, "must be float32 or bfloat16"),
        ({"trainer": {"best_checkpoint_metric_comp": "more"}}, "must be higher or lower"),
    ],
)
def test_a_run_that_cannot_start_writes_nothing(run, tmp_path, monkeypatch, values, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message):
        run(values, mode="train_and_eval")
    assert not (tmp_path / "model").exists()


def test_weights_of_another_model_write_nothing(run, tmp_path, trainable_corpus):
    """The base model's checkpoint does not hold the encoder that its folder describes."""
    base = run(folder="base")
    config = json.loads((base / "encoder/config.json").read_text())
    (base / "encoder/config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(Exception, match=r"(?i)shape|incompatible"):
        run({"task": {"model": {"init_from": str(base)}}})
    assert not (tmp_path / "model").exists()


def test_the_end_names_what_was_written_and_the_next_commands(run, trainable_corpus, capsys):
    folder = run(mode="train")
    report = json.loads((folder / "training.json").read_text())
    assert report["command"].startswith("rejoinder train")
    end = capsys.readouterr().out.split("trained\n")[1]
    assert f"{folder}/ckpt-{STEPS}" in end
    assert f"{folder}/training.json" in end
    assert f"rejoinder evaluate --model {folder} --corpus {trainable_corpus}" in end
    assert f"rejoinder export --model {folder}" in end
    run(mode="train")
    assert "already trained to step 12; nothing to do" in capsys.readouterr().out
    assert json.loads((folder / "training.json").read_text()) == report
    run(mode="eval")
    assert f"rejoinder evaluate --model {folder}" in capsys.readouterr().out.split("evaluated\n")[1]


def test_training_continues_over_an_extended_corpus_only_if_it_is_asked_for(run, monkeypatch):
    from rejoinder.trainer import run as module

    opened = module.open_corpora

    def shorter(*arguments, **options):
        corpora = opened(*arguments, **options)
        for corpus in corpora:
            shards = corpus.data_set.shards
            object.__setattr__(corpus.data_set, "shards", shards[: len(shards) - 1])
        return corpora

    with monkeypatch.context() as before:
        before.setattr(module, "open_corpora", shorter)
        folder = run()
    with pytest.raises(UserError, match=r"was extended; give --allow-new-data to continue"):
        run()
    run({"task": {"train_data": {"allow_new_data": True}}, "trainer": {"train_steps": 14}})
    described = json.loads((folder / "data.json").read_text())
    (earlier,) = described["earlier"]
    assert earlier["checkpoint"].startswith("ckpt-")
    assert earlier["corpora"][0]["pairs"] < described["corpora"][0]["pairs"]
    run({"trainer": {"train_steps": 15}})  # it is the checkpoint's corpus now
    with monkeypatch.context() as before:
        before.setattr(module, "open_corpora", shorter)
        with pytest.raises(UserError, match=r"corpus 'corpus' changed \(pairs\) since"):
            run({"task": {"train_data": {"allow_new_data": True}}})
