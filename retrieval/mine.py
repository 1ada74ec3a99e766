"""`rejoinder mine`: adds hard negatives to the train pairs of a corpus."""

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder.options import add_precision
from rejoinder.units import format_duration

if TYPE_CHECKING:
    from rejoinder.retrieval.mining.job import Mined

_EXAMPLE_WIDTH = 100  # characters of a text that are shown


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="rejoinder mine",
        description="Writes a new corpus whose train pairs have hard negatives: the responses "
        "that a model finds nearest to its context, without those of its own thread, equal texts "
        "and those that score almost as high as the true response. Train on them with "
        "task.loss.hard_negatives.",
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "corpus",
        metavar="CORPUS",
        help="folder of a finished corpus whose train split carries text "
        "(`rejoinder preprocess --keep-text`)",
    )
    paths.add_argument(
        "--model",
        required=True,
        metavar="PATH",
        help="training run, export, sentence-transformers or Hugging Face folder, or hub name",
    )
    paths.add_argument(
        "--output", required=True, metavar="DIR", help="local folder of the new corpus"
    )
    paths.add_argument(
        "--overwrite", action="store_true", help="replace a finished corpus at --output"
    )
    negatives = parser.add_argument_group("negatives")
    negatives.add_argument(
        "--negatives", type=int, default=3, metavar="N", help="for each pair (default 3)"
    )
    negatives.add_argument(
        "--max-score-share",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="highest score of a negative, as a share of the true pair's cosine (default 0.95)",
    )
    negatives.add_argument(
        "--exact", action="store_true", help="compare each context with every response"
    )
    negatives.add_argument(
        "--guide",
        action="store_true",
        help="also store the model's vectors of each pair, for task.loss.guide (two bytes for "
        "each dimension of the model)",
    )
    add_precision(parser.add_argument_group("numbers"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.negatives < 1:
        parser.error(f"--negatives must be at least 1, got {args.negatives}")
    if not 0 < args.max_score_share <= 1:
        parser.error(
            f"--max-score-share must be above 0 and at most 1, got {args.max_score_share:g}"
        )
    from rejoinder.corpus.contents import CORPUS
    from rejoinder.corpus.texts import require_text
    from rejoinder.output import check_output
    from rejoinder.retrieval.index_files import require_local
    from rejoinder.staging import lock_staging

    corpus = args.corpus.rstrip("/")
    manifest = require_text(corpus, "train")
    require_local(args.output)
    inputs = [("CORPUS", corpus), ("--model", args.model)]
    output = check_output(args.output, CORPUS, overwrite=args.overwrite, inputs=inputs)

    from rejoinder.models.encoder import Encoder
    from rejoinder.retrieval.mining.job import MiningOptions, mine

    options = MiningOptions(
        corpus=corpus,
        output=output,
        model=args.model,
        precision=args.precision,
        negatives=args.negatives,
        share=args.max_score_share,
        exact=args.exact,
        guide=args.guide,
        overwrite=args.overwrite,
    )
    start = time.perf_counter()
    encoder = Encoder.load(args.model, precision=args.precision)
    with lock_staging(output) as staging:
        mined = mine(options, manifest, encoder, staging)
    print(_summary(mined, args, time.perf_counter() - start))
    return 0


def _summary(mined: "Mined", args: argparse.Namespace, seconds: float) -> str:
    pairs = sum(mined.found.values())
    negatives = sum(count * number for count, number in mined.found.items())
    lines = [
        f"wrote {args.output}: {pairs:,} train pairs with {negatives:,} hard negatives in "
        f"{format_duration(seconds)}"
    ]
    lines += [
        f"  {number:,} pairs ({number / max(pairs, 1):.1%}) have {count}"
        for count, number in sorted(mined.found.items(), reverse=True)
    ]
    if negatives:
        lines.append(
            f"  a negative's cosine is {mined.margins / negatives:.3f} below the true pair's (mean)"
        )
    for context, response, found in mined.examples:
        lines += ["", f"  context   {_short(context)}", f"  response  {_short(response)}"]
        lines += [f"  negative  {_short(text)}  ({score:.3f})" for score, text in found]
    lines += [
        "",
        f"next: rejoinder train --corpus {args.output} "
        f"--params-override task.loss.hard_negatives={args.negatives} …",
    ]
    return "\n".join(lines)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXAMPLE_WIDTH else line[: _EXAMPLE_WIDTH - 1] + "…"
