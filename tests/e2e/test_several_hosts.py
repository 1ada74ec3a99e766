"""Two hosts on the loopback: killed, stopped and restarted, with one host in between.

Each kind of end happens to one run after the other in the same MODEL_DIR, so that a test of this
file continues from where the test before it stopped.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STEPS = 80
LOST_SECONDS = 30  # within which a host ends after another one was killed
SETTINGS = {
    "task": {
        # The masks of a packed row depend on its place, hence on the number of replicas.
        "model": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "train_data": {"shuffle_window": 100},
    },
    "trainer": {
        "train_steps": STEPS,
        "steps_per_loop": 1,
        "checkpoint_interval": 5,
        "validation_interval": 40,
        "deterministic": True,
        "optimizer_config": {
            "learning_rate": {"polynomial": {"initial_learning_rate": 1e-3}},
            "warmup": {"linear": {"warmup_steps": 10}},
        },
    },
}


class Run:
    """The processes of one command on every host; the first is the chief."""

    def __init__(self, arguments: list[str], model_dir: Path, hosts: int):
        command = [sys.executable, "-m", "rejoinder", "train", f"--model-dir={model_dir}"]
        command += arguments
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(hosts)]
        self.processes = []
        self.temporary = []
        for index in range(hosts):
            folder = model_dir.parent / f"{model_dir.name}-tmp-{self.addresses[index][10:]}"
            folder.mkdir()
            self.temporary.append(folder)
            environment = os.environ | {"TMPDIR": str(folder)}
            strategy = "--strategy=one_device"
            if hosts > 1:
                task = {"type": "worker", "index": index}
                cluster = {"worker": self.addresses}
                environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
                strategy = "--strategy=multi_worker_mirrored"
            self.processes.append(
                subprocess.Popen(
                    [*command, strategy],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )

    def wait_for_steps(self) -> None:
        """Returns after the chief's first line of progress, and a few steps more."""
        output = self.processes[0].stdout
        assert output is not None
        seen = []
        for line in output:
            seen.append(line)
            if line.startswith("step"):
                time.sleep(1)
                return
        raise AssertionError("".join([*seen, self.processes[0].communicate()[1]]))

    def ends(self, timeout: float | None = None) -> list[tuple[int, str, str]]:
        """Returns exit status, standard output and standard error of each host."""
        ends = []
        try:
            for process in self.processes:
                output, errors = process.communicate(timeout=timeout)
                ends.append((process.returncode, output, errors))
        finally:
            for process in self.processes:
                process.kill()
        return ends


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Returns the folder of all runs."""
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def arguments(folder, write_run) -> list[str]:
    """Returns the arguments of every run."""
    return write_run(folder, SETTINGS, test_pairs=40)


@pytest.fixture(scope="module")
def undisturbed(folder, arguments) -> Path:
    """Returns the MODEL_DIR of a run of two hosts from the first to the last step."""
    model_dir = folder / "undisturbed"
    run = Run(arguments, model_dir, 2)
    chief, other = run.ends()
    assert chief[0] == other[0] == 0, chief[2] + other[2]
    assert f"worker 0 ({run.addresses[0]}), worker 1 ({run.addresses[1]})" in chief[1]
    assert other[1].splitlines()[-1] == (
        f"worker 1 ({run.addresses[1]}): trained to step {STEPS}; "
        f"worker 0 ({run.addresses[0]}) wrote {model_dir}"
    )
    assert not list(run.temporary[1].rglob("*"))  # the other host leaves nothing on disk
    return model_dir


@pytest.fixture(scope="module")
def disturbed(folder, undisturbed) -> Path:
    """Returns the MODEL_DIR that the runs below share."""
    return folder / "disturbed"


@pytest.fixture(scope="module")
def stops() -> list[int]:
    """Returns the steps at which a signal stopped the run of `disturbed`, filled by the tests."""
    return []


def losses(model_dir: Path) -> list[tuple[int, float]]:
    """Returns step and loss of every step that the chief wrote, also those written twice."""
    import tensorflow as tf

    found = []
    for path in sorted((model_dir / "train").glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == "training_loss":
                    found.append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def last_step(model_dir: Path) -> int:
    import tensorflow as tf

    path = tf.train.latest_checkpoint(str(model_dir))
    assert path is not None
    return int(path.rpartition("-")[2])


def one_line(errors: str) -> str:
    """Returns the line of a command's end; TensorFlow announces its server before."""
    (line,) = [
        line
        for line in errors.splitlines()
        if line and not line.startswith(("WARNING: All log messages before", "I0000"))
    ]
    return line


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_host_ends_the_other_with_a_line_that_names_it(arguments, disturbed, victim):
    run = Run(arguments, disturbed, 2)
    run.wait_for_steps()
    run.processes[victim].kill()
    killed = time.monotonic()
    status, _, errors = run.ends(LOST_SECONDS)[1 - victim]
    print(f"the other host ended after {time.monotonic() - killed:.1f} s")
    assert status == 1, errors
    assert one_line(errors).startswith(
        f"error: worker {victim} ({run.addresses[victim]}) has ended or cannot be reached"
    )
    assert f"continues from the last checkpoint in {disturbed}" in errors


@pytest.mark.parametrize("asked", [0, 1])
def test_sigterm_to_one_host_stops_all_at_the_same_step(arguments, disturbed, stops, asked):
    run = Run(arguments, disturbed, 2)
    run.wait_for_steps()
    run.processes[asked].send_signal(signal.SIGTERM)
    ends = run.ends()
    step = last_step(disturbed)
    stops.append(step)
    for status, _, errors in ends:
        assert status == 128 + signal.SIGTERM, errors
        assert one_line(errors) == (
            f"SIGTERM to worker {asked} ({run.addresses[asked]}): saved {disturbed}/ckpt-{step} "
            f"at step {step}; run the same command again on all hosts to continue"
        )


def continue_to_the_end(arguments: list[str], model_dir: Path) -> None:
    ends = Run(arguments, model_dir, 2).ends()
    assert [status for status, _, _ in ends] == [0, 0], ends[0][2] + ends[1][2]


def test_one_host_continues_the_run_of_two_and_two_that_of_one(
    folder, arguments, disturbed, stops, undisturbed, weights
):
    """The sums over two hosts differ from those of one in the last bits."""
    model_dir = folder / "moved"
    shutil.copytree(disturbed, model_dir)
    before = last_step(model_dir)
    run = Run(arguments, model_dir, 1)
    run.wait_for_steps()
    run.processes[0].send_signal(signal.SIGTERM)
    ((status, _, errors),) = run.ends()
    assert status == 128 + signal.SIGTERM, errors
    stopped = last_step(model_dir)
    assert before < stopped < STEPS
    continue_to_the_end(arguments, model_dir)
    assert_equal_losses(
        losses(model_dir), losses(undisturbed), stops=[*stops, stopped], tolerance=1e-5
    )
    got, expected = weights(model_dir, STEPS), weights(undisturbed, STEPS)
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)


def test_the_disturbed_run_ends_with_the_bits_of_the_undisturbed_one(
    arguments, disturbed, stops, undisturbed, weights
):
    assert 0 < last_step(disturbed) < STEPS
    continue_to_the_end(arguments, disturbed)
    assert_equal_losses(losses(disturbed), losses(undisturbed), stops=stops, tolerance=0)
    got, expected = weights(disturbed, STEPS), weights(undisturbed, STEPS)
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def assert_equal_losses(
    got: Sequence[tuple[int, float]],
    expected: Sequence[tuple[int, float]],
    *,
    stops: Sequence[int],
    tolerance: float,
) -> None:
    """A signal ends a run after its step and before the step's summary."""
    by_step = dict(expected)
    assert set(by_step) == set(range(1, STEPS + 1))
    assert set(by_step) - set(stops) <= {step for step, _ in got} <= set(by_step)
    for step, loss in got:
        assert abs(loss - by_step[step]) <= tolerance, step
