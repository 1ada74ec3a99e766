"""A refused command, and one that has nothing to do, change nothing in MODEL_DIR."""

import contextlib
import io
import json
import os
import re
from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.data.testing import TINY_RUN, write_trainable_corpus
from rejoinder.trainer.experiment import run_experiment
from rejoinder.trainer.lock import LOCK, hold_lock
from rejoinder.trainer.settings.resolve import read_config

STEPS = 4
LOOP = {"trainer": {"train_steps": STEPS, "steps_per_loop": 2, "checkpoint_interval": 2}}


@pytest.fixture(scope="module")
def run(trainable_corpus, tmp_path_factory):
    """Returns a function from overrides to the exit status of a run."""
    folder = tmp_path_factory.mktemp("commands")

    def start(model_dir: Path, values=None, mode="train", corpus=trainable_corpus) -> int:
        files = [folder / "tiny.yaml", folder / "loop.yaml", folder / "test.yaml"]
        for file, content in zip(files, (TINY_RUN, LOOP, values or {}), strict=True):
            file.write_text(json.dumps(content))  # JSON is YAML
        flags = {"task.train_data.input_path": str(corpus)}
        config = read_config([str(file) for file in files], "", flags)
        return run_experiment(config, str(model_dir), mode)

    return start


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """Returns the folder of a finished run and what the run printed."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run(folder) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="module")
def other_corpus(tmp_path_factory):
    """Returns a corpus of other pairs with the same tokenizer."""
    folder = tmp_path_factory.mktemp("other") / "corpus"
    return write_trainable_corpus(folder, pairs=100, test_pairs=40, seed=1)


@pytest.fixture(scope="module")
def other_tokenizer(tmp_path_factory):
    """Returns the folder of a tokenizer with another vocabulary of the same size."""
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    texts = ["klm nop qrs tuv wxyz " * 5] * 50
    return train_wordpiece(texts, 200, tmp_path_factory.mktemp("other") / "tokenizer")


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Returns bytes and time of change of a folder and all that is in it."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def optimizer(**values):
    return {"trainer": {"optimizer_config": values}}


REFUSED = [
    ({"task": {"model": {"max_length": 40}}}, "with other settings: task.model.max_length was 32"),
    ({"task": {"loss": {"scale": 10.0}}}, "with other settings: task.loss.scale was 20.0, now 10"),
    ({"task": {"model": {"num_hidden_layers": 2}}}, "num_hidden_layers changed from 1 to 2"),
    ({"task": {"model": {"hidden_size": 32}}}, "hidden_size changed from 16 to 32"),
    ({"task": {"model": {"max_length": 8}}}, "task.model.max_length: must be at least"),
    ({"task": {"model": {"max_length": 600}}}, "changed from 514 to"),
    ({"task": {"model": {"init_from": "/nowhere"}}}, "/nowhere: is not a folder"),
    ({"task": {"loss": {"matryoshka_dims": [99]}}}, "task.loss.matryoshka_dims"),
    ({"task": {"loss": {"learn_scale": True}}}, "learn_scale changed from False to True"),
    ({"task": {"train_data": {"seed": 1}}}, "task.train_data.seed changed from 0 to 1"),
    ({"task": {"train_data": {"global_batch_size": 8}}}, "global_batch_size changed from 16"),
    ({"task": {"train_data": {"layout": "zigzag"}}}, "layout"),
    ({"runtime": {"mixed_precision_dtype": "float16"}}, "must be float32 or bfloat16"),
    ({"runtime": {"tpu": "grpc://127.0.0.1:1"}}, "cannot connect to a TPU"),
    (optimizer(optimizer={"type": "sgd"}), "optimizer.type changed from 'adamw' to 'sgd'"),
    ({"trainer": {"train_steps": STEPS - 2}}, "trainer.train_steps was 4, now 2"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
@pytest.mark.parametrize("mode", ["train", "train_and_eval"])
def test_a_refused_training_changes_nothing(run, trained, values, message, mode):
    folder, _ = trained
    before = contents(folder)
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        run(folder, values, mode)
    assert "\n" not in str(refused.value)
    assert contents(folder) == before


@pytest.mark.parametrize("mode", ["eval", "continuous_eval"])
@pytest.mark.parametrize("values", [{"task": {"model": {"hidden_size": 32}}}])
def test_a_refused_evaluation_changes_nothing(run, trained, values, mode):
    folder, _ = trained
    before = contents(folder)
    with pytest.raises(UserError, match="hidden_size changed from 16 to 32"):
        run(folder, values, mode)
    assert contents(folder) == before


def test_another_tokenizer_or_corpus_changes_nothing(run, trained, other_tokenizer, other_corpus):
    folder, _ = trained
    before = contents(folder)
    with pytest.raises(UserError, match="was made with another tokenizer"):
        run(folder, {"task": {"model": {"tokenizer": str(other_tokenizer)}}})
    with pytest.raises(UserError, match="corpus 'corpus' changed"):
        run(folder, corpus=other_corpus)
    assert contents(folder) == before


@pytest.mark.parametrize("mode", ["train", "train_and_eval"])
def test_a_command_that_has_nothing_to_do_changes_nothing(run, trained, mode, capsys):
    folder, _ = trained
    before = contents(folder)
    # Settings that decide no weight may be others.
    assert run(folder, {"trainer": {"checkpoint_interval": 3}}, mode) == 0
    assert f"{folder}: already trained to step {STEPS}; nothing to do" in capsys.readouterr().out
    assert contents(folder) == before


def test_two_trainings_in_one_folder_exclude_each_other(run, trained):
    folder, _ = trained
    with hold_lock(str(folder)):
        before = contents(folder)
        with pytest.raises(UserError, match=rf"model: process {os.getpid()} trains here; wait "):
            run(folder, {"trainer": {"train_steps": STEPS + 2}})
        assert contents(folder) == before
        assert run(folder, mode="eval") == 0  # an evaluation needs no lock


def test_a_folder_that_changed_while_a_training_started_is_refused(run, tmp_path, monkeypatch):
    """Another training wrote a checkpoint after this one had looked for one."""
    from rejoinder.trainer import experiment

    latest = iter([None, "ckpt-2"])
    monkeypatch.setattr(experiment, "latest_checkpoint", lambda folder: next(latest))
    with pytest.raises(UserError, match="another training wrote a checkpoint while this one"):
        run(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {LOCK}


def test_the_first_table_names_the_devices(trained):
    _, printed = trained
    assert re.search(r"devices +CPU \(\d+ cores?\)", printed)


def test_a_model_dir_that_cannot_be_one_is_refused(run, trainable_corpus, tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    model = tmp_path / "other"
    model.mkdir()
    (model / "config.json").write_text("{}")
    cases = [
        (file, rf"^{file}: is a file; --model-dir {file} must be a folder$"),
        (file / "model", rf"^{file}: is a file; --model-dir {file}/model must be a folder$"),
        (trainable_corpus, r"holds a corpus \(manifest\.json\); name another --model-dir"),
        (model, r"holds a Hugging Face model \(config\.json\); name another --model-dir"),
        ("", "--model-dir: the path is empty"),
        ("~/model", "--model-dir ~/model: the shell did not replace ~"),
        ("s3://bucket/model", "s3://bucket/model: TensorFlow reads and writes checkpoints in"),
        ("/proc/model", r"/proc/model: cannot be created|/proc: cannot be written"),
    ]
    for model_dir, message in cases:
        with pytest.raises(UserError, match=message) as refused:
            run(model_dir)
        assert "\n" not in str(refused.value)
    assert file.read_text() == "text"
    assert [path.name for path in model.iterdir()] == ["config.json"]
