"""A small dump, the command run in this process, and Prism where it is installed."""

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rejoinder.pipelines.testing import COMPRESS, awkward, dialogue, ndjson

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch):
    """Keeps the command from limiting the threads of the process that the tests share."""
    monkeypatch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Skips the report's plots, which take longer than the rest of a small run."""
    monkeypatch.setattr("rejoinder.pipelines.publish.report.to_html", lambda *report: "")


@pytest.fixture
def interruptible():
    """Handles Ctrl-C here and in processes started here, also where a shell ignores it (`&`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def prism() -> str:
    """Path of Prism's program."""
    path = ROOT / "build" / "bin" / "prism"
    found = str(path) if path.exists() else shutil.which("prism")
    if not found:
        pytest.skip("Prism is not installed: `make prism` builds it, and needs Go")
    return found


@pytest.fixture(scope="session")
def dumps(tmp_path_factory) -> Path:
    """A folder with a tokenizer, and a dump with rejected lines in three codecs."""
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path_factory.mktemp("dumps")
    train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, folder / "tokenizer")
    lines = [*dialogue(200), *awkward(500, 1)]
    for number, ending in enumerate(("", ".zst", ".gz")):
        path = folder / f"RC_{number}{ending}"
        path.write_bytes(COMPRESS[ending](ndjson(lines[number::3])))
    return folder


@pytest.fixture
def preprocess(dumps) -> Callable[..., None]:
    """Returns a function that runs the command in this process."""
    from rejoinder.pipelines import preprocess as command

    def run(
        output: Path | str, *arguments: str, given: Path | str = "", tokenizer: str = ""
    ) -> None:
        paths = ["--input", str(given or f"{dumps}/RC_*"), "--output", str(output)]
        paths += ["--tokenizer", tokenizer or str(dumps / "tokenizer")]
        command.main([*paths, "--quiet", "--max-bad-ratio", "0.1", *arguments])

    return run


def shards(folder: Path) -> dict[str, str]:
    found = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.tfrecord-*")
    }
    assert found
    return found


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    """Returns a function that returns the sha256 of each shard of a local corpus."""
    return shards


@pytest.fixture(scope="session")
def expected(dumps, tmp_path_factory) -> dict[str, str]:
    """The shards of the local runner."""
    from rejoinder.pipelines import preprocess as command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)
        output = tmp_path_factory.mktemp("expected") / "corpus"
        paths = ["--input", f"{dumps}/RC_*", "--output", str(output)]
        paths += ["--tokenizer", str(dumps / "tokenizer"), "--workers", "1"]
        command.main([*paths, "--quiet", "--max-bad-ratio", "0.1"])
    return shards(output)


def descendants(pid: int) -> list[int]:
    """Returns the processes that a process started, directly or not."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found, left = [], [pid]
    while left:
        left = [child for parent in left for child in parents.get(parent, [])]
        found += left
    return found


@pytest.fixture(scope="session")
def engines_of() -> Callable[[int], list[int]]:
    """Returns a function that returns the Prism processes that a command started."""

    def find(pid: int) -> list[int]:
        found = []
        for child in descendants(pid):
            try:
                if Path(f"/proc/{child}/exe").resolve().name == "prism":
                    found.append(child)
            except OSError:
                continue
        return found

    return find
