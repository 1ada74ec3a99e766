"""A signal at any moment ends `rejoinder preprocess` within seconds, with one line.

    python tests/e2e/test_interrupts.py 40

interrupts that many runs and prints a table: half of the moments are in the first 15 s.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from rejoinder.pipelines.testing import dialogue, ndjson

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LIMIT = 10.0  # seconds from the signal to the end of the command
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class Interrupt(NamedTuple):
    """An interrupted run: what was sent, and what happened."""

    workers: int
    moment: float  # seconds from the start to the signal
    number: signal.Signals
    times: int  # how often the signal was sent
    status: int
    seconds: float  # from the signal to the end
    lines: list[str]  # on standard error
    left: list[str]  # beside the input
    processes: list[int]  # of the command, still running


def make_input(folder: Path) -> None:
    """Writes a tokenizer and a dump that takes minutes."""
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, folder / "tokenizer")
    data = ndjson(dialogue(20_000))
    with open(folder / "RC_1", "wb") as file:
        for _ in range(120):  # repeated ids are dropped after reading
            file.write(data)


def session_processes(session: int) -> list[int]:
    """Returns the running processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, _, _, of = file.read().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(of) == session and state != "Z":
            found.append(int(name))
    return found


def _default_signals() -> None:
    """Undoes that a shell starts background jobs with SIGINT ignored."""
    for number in STATUS:
        signal.signal(number, signal.SIG_DFL)


def interrupt(
    source: Path, folder: Path, workers: int, moment: float, number: signal.Signals, times: int
) -> Interrupt:
    """Starts the command in a session of its own and sends a signal as a terminal does."""
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", str(source / "RC_1")]
    command += ["--tokenizer", str(source / "tokenizer"), "--output", str(folder / "corpus")]
    command += ["--quiet", "--workers", str(workers)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=_default_signals,
    )
    time.sleep(moment)
    sent = time.monotonic()
    for _ in range(times):
        # Ctrl-C goes to every process of the terminal, the others to the command.
        send = os.killpg if number == signal.SIGINT else os.kill
        send(process.pid, number)
        time.sleep(0.3 if times > 1 else 0)
    try:
        _, text = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        _, text = process.communicate()
    seconds = time.monotonic() - sent
    time.sleep(0.2)
    left = sorted(path.name for path in folder.iterdir())
    return Interrupt(
        workers,
        moment,
        number,
        times,
        process.returncode,
        seconds,
        text.splitlines(),
        left,
        session_processes(process.pid),
    )


def draw(seed: int, count: int) -> list[tuple[int, float, signal.Signals, int]]:
    """Draws workers, moment, signal and times; half of the moments are in the first 15 s."""
    chance = random.Random(seed)
    return [
        (
            1 + index % 3,
            chance.uniform(0.5, 15) if index % 2 else chance.uniform(15, 45),
            chance.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]),
            1 + index // 2 % 2,
        )
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("interrupts")
    make_input(folder)
    return folder


@pytest.mark.parametrize(("workers", "moment", "number", "times"), draw(17, 6))
def test_a_signal_ends_the_command_with_one_line_and_no_process(
    source, tmp_path, workers, moment, number, times
):
    result = interrupt(source, tmp_path, workers, moment, number, times)
    assert result.status == STATUS[number], result
    assert len(result.lines) == 1, result
    assert result.lines[0].startswith("interrupted"), result
    assert result.seconds < LIMIT, result
    assert result.processes == [], result
    assert "corpus" not in result.left, result


def main() -> None:
    """Interrupts runs and prints the table."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        make_input(source)
        for index, drawn in enumerate(
            draw(int(sys.argv[2]) if sys.argv[2:] else 0, int(sys.argv[1]))
        ):
            folder = source / str(index)
            folder.mkdir()
            result = interrupt(source, folder, *drawn)
            results.append(result)
            print(
                f"{index + 1:3} workers {result.workers}, {result.number.name} x {result.times} at "
                f"{result.moment:5.1f} s: status {result.status}, {result.seconds:4.1f} s, "
                f"left {result.left}, processes {result.processes}, {result.lines}",
                flush=True,
            )
            subprocess.run(["rm", "-rf", str(folder)], check=True)
    left = sum(bool(r.left) for r in results), sum(bool(r.processes) for r in results)
    good = sum(r.status == STATUS[r.number] and len(r.lines) == 1 for r in results)
    print(
        f"{good} of {len(results)} ended with the status and one line, the longest in "
        f"{max(r.seconds for r in results):.1f} s; {left[0]} left files, {left[1]} left processes"
    )


if __name__ == "__main__":
    main()
