"""How good is a model, beside others and beside counting words.

    rejoinder evaluate --model MODEL_DIR,all-mpnet-base-v2 --data CORPUS \
        --sts stsb-en-test.csv --output REPORT

prints one table and writes it to REPORT as evaluation.html, .json and .md.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence

from rejoinder.errors import UserError
from rejoinder.evaluation.results import Evaluation

SPLITS = {"test": ("test",), "train": ("train",), "all": ("train", "test")}


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="rejoinder evaluate",
        description="Evaluates sentence encoders beside TF-IDF and BM25 on the same pairs.",
    )
    what = parser.add_argument_group("What to evaluate")
    what.add_argument(
        "--model",
        default="",
        metavar="PATH[,PATH…]",
        help="trainer MODEL_DIR, SavedModel, sentence-transformers folder or hub name; NAME=PATH "
        "names it in tables; the first is the one that others are compared with",
    )
    what.add_argument("--data", metavar="CORPUS", help="corpus folder for response selection")
    what.add_argument(
        "--sts",
        nargs="+",
        default=[],
        metavar="FILE",
        help="sentence pairs with scores: STS-B, SICK, STS12 to STS16 (STS.input.*.txt)",
    )
    what.add_argument(
        "--paraphrase",
        nargs="+",
        default=[],
        metavar="FILE",
        help="sentence pairs that are paraphrases or not: PIT-2015, Twitter URL corpus, or "
        "sentence1,sentence2,label",
    )
    what.add_argument(
        "--output",
        metavar="FOLDER",
        help="where the report goes; default: evaluation/ in the first model's MODEL_DIR, where "
        "its model card takes it from, or else out/evaluation",
    )
    how = parser.add_argument_group("Response selection")
    how.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    how.add_argument(
        "--candidates", type=_at_least(2), default=100, metavar="N", help="n of 1-of-n; default 100"
    )
    how.add_argument(
        "--batches", type=_at_least(1), default=500, metavar="N", help="most batches; default 500"
    )
    how.add_argument("--deduplicate", action="store_true", help="use each context only once")
    how.add_argument("--seed", type=int, default=0, help="of the pairs' order; default 0")
    how.add_argument("--no-baselines", action="store_true", help="leave out TF-IDF and BM25")
    encoding = parser.add_argument_group("Encoding")
    encoding.add_argument(
        "--batch-size", type=_at_least(1), metavar="N", help="default: by the texts' lengths"
    )
    return parser


def _at_least(least: int):
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    return number


def named_models(argument: str) -> dict[str, str]:
    """Returns {name in tables: path} of `--model`'s value.

    Raises:
        UserError: two models would have the same name.
    """
    models: dict[str, str] = {}
    for entry in filter(None, argument.split(",")):
        name, equals, path = entry.partition("=")
        if not equals:
            path = entry
            name = os.path.basename(os.path.normpath(entry))
        if name in models:
            raise UserError(f"--model: two models are named {name!r}; name them as NAME=PATH")
        models[name] = path
    return models


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parse = parser()
    args = parse.parse_args(argv)
    if not (args.data or args.sts or args.paraphrase):
        parse.error("nothing to evaluate on: give --data CORPUS, --sts FILES or --paraphrase FILES")
    if (args.sts or args.paraphrase) and not args.model:
        parse.error("--sts and --paraphrase need a --model")
    models = named_models(args.model)
    from rejoinder.evaluation.session import evaluate

    evaluation = evaluate(
        models,
        data=args.data,
        sts=args.sts,
        paraphrase=args.paraphrase,
        splits=SPLITS[args.split],
        candidates=args.candidates,
        batches=args.batches,
        deduplicate=args.deduplicate,
        seed=args.seed,
        keyword_methods=not args.no_baselines,
        batch_size=args.batch_size,
    )
    evaluation.command = shlex.join(["python", "-m", "rejoinder", "evaluate", *argv])
    write(evaluation, args.output or default_output(models))
    return 0


def default_output(models: dict[str, str]) -> str:
    """Returns where the report goes: beside the first model if that is a training run's."""
    from rejoinder.models.model_dir import EVALUATION_FOLDER, is_model_dir

    first = next(iter(models.values()), None)
    if first is not None and "://" not in first and is_model_dir(first):
        return os.path.join(first, EVALUATION_FOLDER)
    return os.path.join("out", EVALUATION_FOLDER)


def write(evaluation: Evaluation, folder: str) -> None:
    """Prints the tables and writes evaluation.html, .json and .md into `folder`."""
    from rejoinder.evaluation.html import render_html
    from rejoinder.evaluation.markdown import render

    os.makedirs(folder, exist_ok=True)
    text = render(evaluation)
    with open(os.path.join(folder, "evaluation.json"), "w", encoding="utf-8") as file:
        json.dump(evaluation.to_json(), file, indent=2, ensure_ascii=False)
        file.write("\n")
    for name, page in (("evaluation.md", text), ("evaluation.html", render_html(evaluation))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(page)
    print(text)
    print(f"report: {os.path.join(folder, 'evaluation.html')} (and .json, .md)")
