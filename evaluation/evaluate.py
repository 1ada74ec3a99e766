"""`rejoinder evaluate`: compares models with each other and with keyword baselines.

    rejoinder evaluate --model MODEL_DIR,all-mpnet-base-v2 --corpus CORPUS \
        --sts stsb-en-test.csv --output REPORT

prints the tables and writes evaluation.html, .json and .md to REPORT.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.evaluation.report_folder import check_report_folder
from rejoinder.options import add_precision
from rejoinder.output import check_writable
from rejoinder.tables import list_table

SPLITS = {"test": ("test",), "train": ("train",), "all": ("train", "test")}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parse = parser()
    args = parse.parse_args(argv)
    if not (args.corpus or args.sts or args.paraphrase or args.mteb):
        parse.error("nothing to evaluate on: give --corpus, --sts, --paraphrase or --mteb")
    if (args.sts or args.paraphrase or args.mteb) and not args.model:
        parse.error("--sts, --paraphrase and --mteb need a --model")
    if args.map and not (args.model and args.corpus):
        parse.error("--map needs a --model and a --corpus")
    models = named_models(args.model)
    check_checkpoint(models, args.checkpoint)
    folder = default_output(models, args.checkpoint) if args.output is None else args.output
    # Before the evaluation: a folder that cannot be written is an error now, not an hour later.
    check_report_folder(folder)
    check_writable(folder)
    from rejoinder.evaluation.markdown import render_markdown
    from rejoinder.evaluation.report import write_report
    from rejoinder.evaluation.session import evaluate

    evaluation = evaluate(
        models,
        checkpoint=args.checkpoint,
        corpus=args.corpus,
        sts=args.sts,
        paraphrase=args.paraphrase,
        mteb=args.mteb,
        splits=SPLITS[args.split],
        candidates=args.candidates,
        batches=args.batches,
        deduplicate=args.deduplicate,
        seed=args.seed,
        keyword_methods=not args.no_baselines,
        batch_size=args.batch_size,
        precision=args.precision,
        extra_contexts=args.extra_contexts,
        linear_map=args.map,
    )
    evaluation.command = shlex.join(["rejoinder", "evaluate", *argv])
    print(render_markdown(evaluation))
    written = write_report(evaluation, folder)
    step = next_step(models, args.corpus, folder, args.checkpoint)
    print(list_table([*written.items(), ("next", step)]))
    return 0


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="rejoinder evaluate",
        description="Compares sentence encoders with each other, TF-IDF and BM25 on the same data.",
    )
    what = parser.add_argument_group("input and output")
    what.add_argument(
        "--model",
        default="",
        metavar="MODEL[,MODEL…]",
        help="trainer MODEL_DIR, SavedModel, sentence-transformers folder or hub name; NAME=PATH "
        "sets the name in tables; the others are compared with the first",
    )
    what.add_argument(
        "--checkpoint",
        metavar="NAME",
        help="checkpoint of the first model, a MODEL_DIR: ckpt-1000 or a path (default: the "
        "latest)",
    )
    what.add_argument("--corpus", metavar="FOLDER", help="corpus for response selection")
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
        "--mteb",
        nargs="+",
        default=[],
        metavar="TASK",
        help="tasks of mteb by name, e.g. STSBenchmark; mteb downloads their data",
    )
    what.add_argument(
        "--output",
        metavar="FOLDER",
        help="folder of the report (default: evaluation/ in the first model's MODEL_DIR, from "
        "which its model card is made, or out/evaluation)",
    )
    how = parser.add_argument_group("response selection")
    how.add_argument(
        "--split", choices=SPLITS, default="test", help="split to take pairs from (default: test)"
    )
    how.add_argument(
        "--candidates",
        type=_at_least(2),
        default=100,
        metavar="N",
        help="n of 1-of-n (default: 100)",
    )
    how.add_argument(
        "--batches",
        type=_at_least(1),
        default=500,
        metavar="N",
        help="maximum number of batches of n pairs (default: 500)",
    )
    how.add_argument("--deduplicate", action="store_true", help="use each context only once")
    how.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the pairs' order (default: 0)"
    )
    how.add_argument("--no-baselines", action="store_true", help="leave out TF-IDF and BM25")
    how.add_argument(
        "--extra-contexts",
        type=_at_least(0),
        default=0,
        metavar="N",
        help="score each model with up to N earlier turns of each context, too (default: 0)",
    )
    how.add_argument(
        "--map",
        action="store_true",
        help="score each model with a linear map of its response embeddings, too, learned on up to "
        "10,000 training pairs: PolyAI's MAP",
    )
    encoding = parser.add_argument_group("encoding")
    encoding.add_argument(
        "--batch-size",
        type=_at_least(1),
        metavar="N",
        help="texts encoded at once (default: depends on their lengths)",
    )
    add_precision(encoding)
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    return number


def named_models(argument: str) -> dict[str, str]:
    """Returns {name in tables: path} from the value of `--model`.

    Raises:
        UserError: two models have the same name.
    """
    models: dict[str, str] = {}
    for entry in filter(None, argument.split(",")):
        name, equals, path = entry.partition("=")
        if not equals:
            path = entry
            name = entry.rstrip("/").rpartition("/")[2]
        if name in models:
            raise UserError(f"--model: two models are named {name!r}; name them as NAME=PATH")
        models[name] = path
    return models


def check_checkpoint(models: dict[str, str], checkpoint: str | None) -> None:
    """Checks that `--checkpoint` has a model that it can belong to.

    Raises:
        UserError: There is no model, or the first is not a MODEL_DIR.
    """
    from rejoinder.models.model_dir import is_model_dir

    first = next(iter(models.values()), None)
    if checkpoint is not None and (first is None or not is_model_dir(first)):
        raise UserError(
            f"--checkpoint {checkpoint}: the first --model must be the folder of a training run, "
            f"got {first}"
        )


def default_output(models: dict[str, str], checkpoint: str | None = None) -> str:
    """Returns the folder of the report: inside the first model if that is a MODEL_DIR."""
    from rejoinder.models.model_dir import EVALUATION_FOLDER, evaluation_folder, is_model_dir

    first = next(iter(models.values()), None)
    if first is not None and is_model_dir(first):
        return evaluation_folder(first, checkpoint)
    return storage.join("out", EVALUATION_FOLDER)


def next_step(
    models: dict[str, str], corpus: str | None, folder: str, checkpoint: str | None = None
) -> str:
    """Returns what to do after an evaluation whose report is in `folder`."""
    from rejoinder.models.model_dir import is_model_dir

    if not models:
        return f"rejoinder evaluate --model MODEL --corpus {corpus}"
    name, path = next(iter(models.items()))
    if is_model_dir(path):
        chosen = ["--checkpoint", checkpoint] if checkpoint else []
        output = storage.join("out/export", name)
        return shlex.join(["rejoinder", "export", "--model", path, *chosen, "--output", output])
    return f"open {storage.join(folder, 'evaluation.html')} in a browser"
