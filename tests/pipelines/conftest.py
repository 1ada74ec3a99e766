"""A small tokenizer, and the command run in this process."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

TEXTS = [
    "the quick brown fox jumps over the lazy dog and says hello to everybody",
    "what a great comment this is, thank you so much for writing it down",
    "I do not agree with that at all, please explain how you came to it",
] * 20


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> str:
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path_factory.mktemp("tokenizer")
    train_wordpiece(TEXTS, 300, folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch):
    """Keeps the command from limiting the threads of the process that the tests share."""
    monkeypatch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)


@pytest.fixture(autouse=True)
def _no_plots(request, monkeypatch):
    """Skips the report's plots, which take longer than the rest of a small run."""
    if "test_report" not in request.node.nodeid:
        monkeypatch.setattr("rejoinder.pipelines.publish.report.to_html", lambda *report: "")


@pytest.fixture
def preprocess(tmp_path, tokenizer_folder) -> Callable[..., Path]:
    """Returns a function that runs the command on files and returns the corpus folder."""
    from rejoinder.pipelines import preprocess as command

    def run(*inputs: Path | str, output: str = "corpus", arguments: Iterable[str] = ()) -> Path:
        folder = tmp_path / output
        command.main(
            [
                "--input",
                *map(str, inputs),
                "--output",
                str(folder),
                "--tokenizer",
                tokenizer_folder,
                "--keep-text",
                "--quiet",
                *arguments,
            ]
        )
        return folder

    return run
