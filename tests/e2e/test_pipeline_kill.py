"""After kill -9 nothing looks finished, and the next run continues to the same bytes."""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rejoinder.pipelines import verify
from rejoinder.pipelines.testing import dialogue, ndjson

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

KILLS = 10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path_factory.mktemp("kill")
    train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, folder / "tokenizer")
    for number in range(2):
        (folder / f"RC_{number}").write_bytes(ndjson(dialogue(20_000)))
    return {"dump": folder, "tokenizer": folder / "tokenizer"}


def start(inputs, output: Path, *arguments: str, quiet: bool = True) -> subprocess.Popen:
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", str(inputs["dump"])]
    command += ["--output", str(output), "--tokenizer", str(inputs["tokenizer"])]
    # A new session, so that the signal reaches the worker processes, too.
    return subprocess.Popen(
        [*command, "--num-shards", "6", *["--quiet"] * quiet, *arguments],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_the_run_after_kill_9_at_random_moments_writes_the_same_bytes(inputs, tmp_path, workers):
    undisturbed = tmp_path / "undisturbed" / "corpus"
    undisturbed.parent.mkdir()
    arguments = ("--workers", str(workers))
    process = start(inputs, undisturbed, *arguments)
    staging = undisturbed.with_name("corpus.staging")
    while not staging.exists():
        time.sleep(0.01)
    began = time.monotonic()
    assert process.wait() == 0, process.stderr.read()
    seconds = time.monotonic() - began
    expected = hashes(undisturbed)

    output = tmp_path / "corpus"
    moments = random.Random(workers)
    unfinished = 0
    for _ in range(KILLS // 2):  # half of them with one worker, half with two
        process = start(inputs, output, *arguments)
        while not output.with_name("corpus.staging").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, seconds))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if output.exists():  # the run ended before the kill, so it is complete
            assert list(verify.problems(str(output))) == []
            subprocess.run(["rm", "-rf", str(output)], check=True)
        else:
            unfinished += 1
    assert unfinished >= 2
    # The next run finds the files of all killed runs.
    process = start(inputs, output, *arguments)
    assert process.wait() == 0, process.stderr.read()
    assert hashes(output) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "undisturbed"]


@pytest.mark.parametrize(("step", "workers"), [("part-", 1), ("bucket-", 1), ("bucket-", 2)])
def test_the_run_after_kill_9_continues_with_the_finished_tasks(inputs, tmp_path, step, workers):
    output, finished = tmp_path / "corpus", tmp_path / "corpus.staging" / "finished"
    arguments = ("--workers", str(workers))
    process = start(inputs, output, *arguments)
    while not (done := sorted(finished.glob(f"{step}*"))):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process = start(inputs, output, *arguments, quiet=False)
    error = process.stderr.read().decode()
    assert process.wait() == 0, error
    (found,) = re.findall(r"^continuing the interrupted run: (\d+) of its tasks", error, re.M)
    assert int(found) >= len(done)
    assert list(verify.problems(str(output))) == []
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_kill_9_while_a_corpus_is_replaced_leaves_a_complete_corpus(inputs, tmp_path):
    output = tmp_path / "corpus"
    assert start(inputs, output).wait() == 0
    for moment in (0.3, 1.0, 2.0):
        process = start(inputs, output, "--overwrite")
        while not output.with_name("corpus.staging").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list(verify.problems(str(output))) == []


def test_a_full_disk_is_one_line(inputs, tmp_path):
    """RLIMIT_FSIZE simulates a full disk: writes beyond it fail in the kernel."""
    command = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
        "from rejoinder import cli; from rejoinder.pipelines import preprocess; "
        "cli.run(preprocess.main)"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", command, "--quiet", "--input", str(inputs["dump"])),
            *("--output", str(tmp_path / "corpus"), "--tokenizer", str(inputs["tokenizer"])),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot be written (File too large)" in errors[0]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
