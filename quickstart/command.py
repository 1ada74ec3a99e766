"""`make quickstart`: from a dump to a served sentence encoder, in minutes, on one machine.

Runs the same commands that a user runs by hand, one process each, and ends with
a table of what they made.
"""

import argparse
import glob
import importlib.resources
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.quickstart.sample import write_dump
from rejoinder.quickstart.steps import Step, run_step
from rejoinder.quickstart.summary import print_summary

CONFIG = str(importlib.resources.files("rejoinder") / "configs" / "quickstart.yaml")
VOCABULARY_SIZE = 6000
SAMPLE_THREADS = 3000
# Only a folder that an earlier quickstart made may be replaced.
MARKER = ".made-by-quickstart"


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: the whole path on a generated sample or on the user's own dump."""
    parser = argparse.ArgumentParser(prog="rejoinder quickstart", description=__doc__)
    parser.add_argument(
        "--input", nargs="+", metavar="FILE", help="comment dumps (default: a generated sample)"
    )
    parser.add_argument("--output", type=Path, default=Path("quickstart-out"), metavar="FOLDER")
    parser.add_argument(
        "--steps", type=int, metavar="N", help=f"training steps (default: as in {CONFIG})"
    )
    arguments = parser.parse_args(argv)
    inputs = _existing_files(arguments.input) if arguments.input else None
    started = time.monotonic()
    _start_afresh(arguments.output)
    if inputs is None:
        dump = arguments.output / "dump" / "RC_sample.zst"
        lines = write_dump(dump, threads=SAMPLE_THREADS)
        print(f"wrote {dump}: a generated sample of {lines:,} lines in pushshift form")
        inputs = [str(dump)]
    steps = _steps(inputs, arguments.output, arguments.steps)
    for number, step in enumerate(steps, 1):
        run_step(step, f"[{number}/{len(steps)}]")
    print_summary(arguments.output, inputs, seconds=time.monotonic() - started)


def _steps(inputs: list[str], out: Path, train_steps: int | None) -> list[Step]:
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
            {"config_file": CONFIG, "data": corpus, "model_dir": model, "mode": "train"}
            | ({"params_override": f"trainer.train_steps={train_steps}"} if train_steps else {}),
        ),
        Step(
            "evaluate 1-of-100 beside TF-IDF and BM25",
            "evaluate",
            {"model": model, "data": corpus},
        ),
        Step("export a SavedModel", "export", {"model": model, "output": export}),
    ]


def _existing_files(patterns: list[str]) -> list[str]:
    """Expands what the shell left unexpanded; remote paths pass, the extraction job lists them."""
    files = []
    for pattern in patterns:
        found = [pattern] if "://" in pattern else sorted(glob.glob(pattern))
        if not found:
            raise UserError(f"--input {pattern}: no such file")
        files += found
    return files


def _start_afresh(out: Path) -> None:
    if out.exists():
        if any(out.iterdir()) and not (out / MARKER).exists():
            raise UserError(
                f"{out}: exists and was not made by quickstart; "
                "move it away or choose another folder with ARGS='--output FOLDER'"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARKER).touch()
