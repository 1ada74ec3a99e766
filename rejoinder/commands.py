"""The `rejoinder` command: a table of subcommands, each imported only when it runs."""

import importlib
import os
import sys
from typing import NamedTuple, Protocol

from rejoinder import cli, extras, hardware, interrupts


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        module: The module whose `main(argv)` runs it.
        help: One line for `rejoinder --help`.
        extra: The extra of the distribution that brings the command's packages; empty if it needs
            none beyond those of `rejoinder.Encoder`.
    """

    module: str
    help: str
    extra: str = ""


class Main(Protocol):
    """The entry of a subcommand's module."""

    def __call__(self, argv: list[str]) -> int | None:
        """Runs the subcommand with its arguments; returns the exit status (None is 0)."""


GROUPS: dict[str, dict[str, Command]] = {
    "start": {
        "quickstart": Command(
            "rejoinder.quickstart.command",
            "run all steps on a generated sample or your dump",
            "all",
        ),
        "doctor": Command("rejoinder.doctor", "check versions, disk, devices and cloud access"),
    },
    "data": {
        "preprocess": Command(
            "rejoinder.pipelines.preprocess", "Reddit comment dumps to tokenized pairs", "pipeline"
        ),
        "pairs": Command(
            "rejoinder.pipelines.pairs", "files of ready pairs to tokenized pairs", "pipeline"
        ),
        "vocab": Command("rejoinder.pipelines.vocab", "train a WordPiece vocabulary", "pipeline"),
        "verify": Command("rejoinder.pipelines.verify", "check every byte of a corpus", "pipeline"),
        "inspect": Command(
            "rejoinder.pipelines.inspect", "show figures and examples of a corpus", "pipeline"
        ),
        "convert": Command(
            "rejoinder.pipelines.convert",
            "write a corpus as Parquet, JSON lines or PolyAI's JSON",
            "pipeline",
        ),
        "forget": Command(
            "rejoinder.pipelines.forget", "remove comments from a corpus", "pipeline"
        ),
    },
    "model": {
        "train": Command("rejoinder.trainer.train", "train the dual encoder", "train"),
        "evaluate": Command(
            "rejoinder.evaluation.evaluate", "1-of-100, recall, STS, and a report", "train"
        ),
        "export": Command(
            "rejoinder.models.export",
            "write a SavedModel and a sentence-transformers folder",
            "train",
        ),
        "serve": Command(
            "rejoinder.serving.server", "serve exported models over HTTP and gRPC", "serve"
        ),
    },
    "retrieval": {
        "embed": Command(
            "rejoinder.retrieval.embed", "embed any number of texts into Parquet", "pipeline"
        ),
        "search": Command("rejoinder.retrieval.search", "search a corpus by meaning", "search"),
        "mine": Command(
            "rejoinder.retrieval.mine", "add hard negatives to the pairs of a corpus", "search"
        ),
        "cluster": Command("rejoinder.retrieval.cluster", "group the texts of an index", "search"),
        "similarity": Command("rejoinder.retrieval.similarity", "compare a few texts", "search"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def usage() -> str:
    """Returns the text of `rejoinder --help`."""
    lines = [
        "usage: rejoinder [--version] COMMAND …",
        "",
        "Reddit comment dumps to a sentence encoder.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<12}{command.help}" for name, command in commands.items()]
    return "\n".join([*lines, "", "`rejoinder COMMAND --help` lists the options of a command."])


def main() -> None:
    """Runs the subcommand that the command line names."""
    # TensorFlow's C++ log would hide what a command prints; errors are raised in any case.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cli.run(lambda: dispatch(sys.argv[1:]))


def dispatch(argv: list[str]) -> int | None:
    """Runs `argv[0]` with the rest of `argv`; returns the exit status."""
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        from rejoinder import __version__

        print(f"rejoinder {__version__}")
        return 0
    if name not in COMMANDS:
        print(
            f"error: {name}: no such command; the commands are {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    command = COMMANDS[name]
    if name != "train":  # which decides by its options
        hardware.leave_tpu_alone(os.environ)
    if not {"-h", "--help"}.intersection(rest):
        extras.check_installed(command.extra, name)
    with interrupts.exit_at_once():
        entry: Main = importlib.import_module(command.module).main
    return entry(rest)
