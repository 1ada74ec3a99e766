"""`rejoinder quickstart`: from a dump to a trained, evaluated and exported encoder.

Runs the commands that a user would run by hand, one process each, and ends with
a table of what they wrote.
"""

import argparse
import glob
import time
from collections.abc import Sequence
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.quickstart.folder import output_folder
from rejoinder.quickstart.sample import write_dump
from rejoinder.quickstart.steps import Step, run_step
from rejoinder.quickstart.summary import print_summary

CONFIG = "quickstart"  # shipped with the package
VOCABULARY_SIZE = 6000
SAMPLE_THREADS = 3000


def main(argv: Sequence[str] | None = None) -> None:
    """Runs all steps on a generated sample or on the user's dump.

    Raises:
        UserError: An input file is missing, the output folder holds files that no quickstart
            wrote, or a step failed.
    """
    arguments = _parser().parse_args(argv)
    inputs = _existing_files(arguments.input) if arguments.input else []
    with output_folder(arguments.output, inputs) as out:
        _run_steps(inputs, out, arguments.steps)


def _run_steps(inputs: list[str], out: Path, train_steps: int | None) -> None:
    started = time.monotonic()
    if not inputs:
        dump = out / "dump" / "RC_sample.zst"
        lines = write_dump(dump, threads=SAMPLE_THREADS)
        print(f"wrote {dump}: a generated sample of {lines:,} lines in the format of pushshift")
        inputs = [str(dump)]
    steps = steps_to_export(inputs, out, train_steps)
    count = len(steps) + 1
    for number, step in enumerate(steps, 1):
        run_step(step, f"[{number}/{count}]")
    run_step(_comparison(out), f"[{count}/{count}]")
    print_summary(out, inputs, seconds=time.monotonic() - started)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rejoinder quickstart",
        description="Trains, evaluates and exports a small encoder, from a dump to a SavedModel.",
    )
    files = parser.add_argument_group("input and output")
    files.add_argument(
        "--input", nargs="+", metavar="FILE", help="comment dumps (default: a generated sample)"
    )
    files.add_argument(
        "--output",
        default="quickstart-out",
        metavar="FOLDER",
        help="default: %(default)s; an earlier quickstart there is replaced",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="training steps (default: as in configs/quickstart.yaml)",
    )
    return parser


def steps_to_export(inputs: list[str], out: Path, train_steps: int | None) -> list[Step]:
    """Returns the steps from the dumps to the exported model.

    Args:
        inputs: The dumps.
        out: Folder for everything that the steps write.
        train_steps: Number of training steps; None for the configuration's own.
    """
    tokenizer, corpus, model = out / "tokenizer", out / "corpus", out / "model"
    export = out / "export" / "encoder"
    return [
        Step(
            "train a vocabulary on the dump's comments",
            "vocab",
            {"input": inputs, "field": "body", "size": VOCABULARY_SIZE, "output": tokenizer},
        ),
        Step(
            "extract, tokenize and shard the pairs",
            "preprocess",
            {"input": inputs, "output": corpus, "tokenizer": tokenizer, "keep-text": True},
        ),
        Step(
            "train a small MPNet from random weights",
            "train",
            {"config": CONFIG, "corpus": corpus, "model-dir": model, "mode": "train"}
            | ({"params-override": _shorter(train_steps)} if train_steps else {}),
        ),
        Step(
            "evaluate 1-of-100 beside TF-IDF and BM25",
            "evaluate",
            {"model": model, "corpus": corpus},
        ),
        Step("export a SavedModel", "export", {"model": model, "output": export}),
    ]


def _shorter(train_steps: int) -> str:
    """Returns the overrides for a number of steps, with the configuration's share of warm-up."""
    warm_up = "trainer.optimizer_config.warmup.linear.warmup_steps"
    return f"trainer.train_steps={train_steps},{warm_up}={train_steps // 20}"


def _comparison(out: Path) -> Step:
    """Returns the last step, whose texts come from the corpus that the steps before it wrote."""
    from rejoinder.quickstart.comparison import texts_to_compare

    texts = texts_to_compare(str(out / "corpus"))
    title = "compare a comment, its reply and a reply to another comment"
    return Step(title, "similarity", {"model": out / "model"}, texts)


def _existing_files(patterns: list[str]) -> list[str]:
    """Expands local globs; remote paths are left to the extraction job, which lists them."""
    files = []
    for pattern in patterns:
        found = [pattern] if "://" in pattern else sorted(glob.glob(pattern))
        if not found:
            raise UserError(f"--input {pattern}: no such file; give the path of a comment dump")
        files += found
    return files
