"""A run that was stopped or killed and restarted ends with the bits of an uninterrupted run."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

STEPS = 60
KILLS = int(os.environ.get("REJOINDER_KILLS", "20"))
SETTINGS = {
    "task": {
        "model": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        },
        "train_data": {"global_batch_size": 32, "shuffle_window": 100},
    },
    "trainer": {
        "train_steps": STEPS,
        "steps_per_loop": 2,
        "checkpoint_interval": 4,
        "deterministic": True,
        "optimizer_config": {
            "learning_rate": {"polynomial": {"initial_learning_rate": 1e-3}},
            "warmup": {"linear": {"warmup_steps": 10}},
        },
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Returns the folder of the runs that end."""
    return tmp_path_factory.mktemp("survival")


@pytest.fixture(scope="module")
def command(folder, write_run):
    """Returns a function from MODEL_DIR to the command of a run."""
    arguments = write_run(folder, SETTINGS)
    train = [sys.executable, "-m", "rejoinder", "train", "--mode=train", *arguments]
    return lambda model_dir: [*train, f"--model-dir={model_dir}"]


@pytest.fixture(scope="module")
def uninterrupted(folder, command, weights) -> dict[str, np.ndarray]:
    model_dir = folder / "uninterrupted"
    subprocess.run(command(model_dir), check=True)
    return weights(model_dir, STEPS)


def assert_same_bits(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_sigterm_saves_and_the_next_run_continues(folder, command, uninterrupted, weights):
    model_dir = folder / "terminated"
    process = subprocess.Popen(
        command(model_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step"):
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "run the same command again to continue" in errors
    subprocess.run(command(model_dir), check=True)
    report = json.loads((model_dir / "training.json").read_text())
    assert 0 < report["steps_this_run"] < STEPS
    assert_same_bits(weights(model_dir, STEPS), uninterrupted)


def test_kill_at_random_moments(folder, command, uninterrupted, weights):
    """Kills each run a random time after its first step, also while it saves."""
    model_dir = folder / "killed"
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen(
            command(model_dir), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(("step", "trained")):
                break
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
        kills += 1
        if process.returncode == 0:
            break  # it ended before the signal arrived
    subprocess.run(command(model_dir), check=True)
    assert_same_bits(weights(model_dir, STEPS), uninterrupted)


def test_changed_data_are_an_error(folder, command, uninterrupted):
    model_dir = folder / "uninterrupted"
    changed = [*command(model_dir), "--params-override=task.train_data.seed=1"]
    result = subprocess.run(changed, capture_output=True, text=True)
    assert result.returncode == 1
    assert "task.train_data.seed changed from 0 to 1 since its checkpoint" in result.stderr


IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-euc"]
FULL_DISK = """
mount -t tmpfs -o size="$1" none "$2"
status=0
"${@:4}" >"$3/first.out" 2>"$3/first.err" || status=$?
mount -o remount,size=1g "$2"
"${@:4}" >"$3/second.out" 2>"$3/second.err"
cp "$2"/checkpoint "$2"/ckpt-* "$3"
exit "$status"
"""


def may_mount() -> bool:
    try:
        tried = [*IN_A_NAMESPACE, "mount -t tmpfs none /tmp"]
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not may_mount(), reason="this machine allows no mount of a small file system")
def test_a_full_disk_is_reported_and_the_next_run_continues(
    folder, command, uninterrupted, weights, tmp_path
):
    model_dir, kept = tmp_path / "model", tmp_path / "kept"
    model_dir.mkdir()
    kept.mkdir()
    before = folder / "uninterrupted"
    checkpoint = sum(file.stat().st_size for file in before.glob(f"ckpt-{STEPS}.*"))
    encoder = sum(file.stat().st_size for file in (before / "encoder").iterdir())
    room = encoder + int(3.5 * checkpoint)
    arguments = [str(room), str(model_dir), str(kept), *command(model_dir)]
    process = subprocess.run([*IN_A_NAMESPACE, FULL_DISK, "bash", *arguments], check=False)
    errors = (kept / "first.err").read_text()
    assert process.returncode == 1, errors
    assert f"{model_dir}: the disk is full; free space and run the same command again" in errors
    assert "Traceback" not in errors
    assert_same_bits(weights(kept, STEPS), uninterrupted)


SMALL_DISK = """
mount -t tmpfs -o size="$1" none "$2"
mount -o "remount,$4" "$2"
status=0
"${@:5}" >"$3/out" 2>"$3/err" || status=$?
ls -A "$2" >"$3/left"
exit "$status"
"""


@pytest.mark.skipif(not may_mount(), reason="this machine allows no mount of a small file system")
@pytest.mark.parametrize(
    ("room", "option", "message"),
    [
        (8192, "rw", r"^error: {folder}/\S+: cannot be written \(No space left on device\)$"),
        ("encoder", "rw", r"^error: {folder}: the disk is full; free space and run the same comm"),
        (
            2**20,
            "ro",
            r"^error: {folder}: cannot be written; --model-dir {folder} must be writable$",
        ),
    ],
)
def test_a_disk_without_room_for_the_first_checkpoint_is_one_line(
    folder, command, uninterrupted, tmp_path, room, option, message
):
    model_dir, kept = tmp_path / "model", tmp_path / "kept"
    model_dir.mkdir()
    kept.mkdir()
    if room == "encoder":
        before = folder / "uninterrupted"
        checkpoint = sum(file.stat().st_size for file in before.glob(f"ckpt-{STEPS}.*"))
        room = sum(file.stat().st_size for file in (before / "encoder").iterdir()) + checkpoint // 2
    arguments = [str(room), str(model_dir), str(kept), option, *command(model_dir)]
    process = subprocess.run([*IN_A_NAMESPACE, SMALL_DISK, "bash", *arguments], check=False)
    errors = (kept / "err").read_text().splitlines()
    assert process.returncode == 1, errors
    assert len(errors) == 1, errors
    assert re.search(message.format(folder=re.escape(str(model_dir))), errors[0])
    left = (kept / "left").read_text().split()
    assert "checkpoint" not in left
    assert not (option == "ro" and left)
