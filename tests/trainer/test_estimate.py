"""`--dry-run` prints configuration, data, sizes and work of a run, and writes nothing."""

import math
import os
import subprocess
import sys

import pytest
import yaml

from rejoinder.trainer import estimate

OVERRIDES = {
    "task.model.max_length": 32,
    "task.model.num_hidden_layers": 1,
    "task.model.hidden_size": 16,
    "task.model.num_attention_heads": 2,
    "task.model.intermediate_size": 32,
    "task.train_data.global_batch_size": 16,
    "trainer.train_steps": 75,
    "trainer.optimizer_config.warmup.linear.warmup_steps": 5,
}


@pytest.fixture(scope="module")
def printed(trainable_corpus, tmp_path_factory) -> tuple[dict, dict[str, str]]:
    """The configuration and the table that the command prints."""
    model_dir = tmp_path_factory.mktemp("dry") / "model"
    command = [
        sys.executable,
        "-m",
        "rejoinder",
        "train",
        "--dry-run",
        "--corpus",
        str(trainable_corpus),
    ]
    command += ["--model-dir", str(model_dir)]
    command += ["--params-override", ",".join(f"{k}={v}" for k, v in OVERRIDES.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert not model_dir.exists()
    resolved, rows = done.stdout.split("dry run: nothing was written")
    cells = (line.strip().split("  ", 1) for line in rows.splitlines() if "  " in line.strip())
    return yaml.safe_load(resolved), {name: value.strip() for name, value in cells}


def test_the_resolved_configuration_is_complete(printed, trainable_corpus):
    resolved, _ = printed
    assert resolved["task"]["train_data"]["input_path"] == str(trainable_corpus)
    for key, value in OVERRIDES.items():
        found = resolved
        for part in key.split("."):
            found = found[part]
        assert found == value
    polynomial = resolved["trainer"]["optimizer_config"]["learning_rate"]["polynomial"]
    assert polynomial["decay_steps"] > 0  # completed from the number of steps


def test_sizes_are_those_of_the_run(printed, make_trainer):
    _, rows = printed
    trainer = make_trainer({})
    parameters = sum(math.prod(v.shape) for v in trainer.model.trainable_variables)
    table = math.prod(trainer.model.mpnet.word_embeddings.shape)
    assert rows["parameters"] == f"{parameters:,} ({table:,} in the word embeddings)"
    assert rows["trained"] == f"{parameters:,}"
    assert rows["pairs"] == "300 in 1 data sets"
    assert rows["steps per epoch"] == "18.8"
    assert rows["epochs"] == "4.00"
    assert rows["batch"].startswith("16 pairs, ")
    assert {"memory, about", "work of a step", "time, about"} <= set(rows)


def test_the_work_of_a_step_grows_with_tokens_and_weights():
    one = estimate.step_flops(weights=1000, tokens=64, row=32, hidden=16, layers=1)
    assert one == 3 * 64 * (2 * 1000 + 4 * 32 * 16)
    assert estimate.step_flops(1000, 128, 32, 16, 1) == 2 * one


def test_frozen_layers_cost_only_their_forward_pass():
    whole = estimate.step_flops(1000, 64, 32, 16, layers=4)
    half = estimate.step_flops(1000, 64, 32, 16, layers=4, frozen_layers=2)
    assert half == pytest.approx(whole * 2 / 3)


def test_recomputation_costs_a_forward_pass_and_keeps_one_layer():
    from rejoinder.models.mpnet import MPNetConfig

    plain = estimate.step_flops(1000, 64, 32, 16, layers=4)
    assert estimate.step_flops(1000, 64, 32, 16, layers=4, recompute=True) == plain * 4 / 3
    config = MPNetConfig(vocab_size=100, num_hidden_layers=12)
    kept = estimate.activation_bytes(8, 128, config)
    one_layer = kept / 12
    recomputed = estimate.activation_bytes(8, 128, config, recompute=True)
    assert one_layer < recomputed < 1.5 * one_layer
