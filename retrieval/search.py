"""Searches a corpus by meaning.

    rejoinder search --corpus CORPUS --model MODEL --query "a question"

builds the index on the first call and uses it from then on.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

from rejoinder.corpus.features import CONTEXT, RESPONSE
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="rejoinder search",
        description="Builds an index of texts, once, and answers queries from it.",
    )
    what = parser.add_argument_group("What to search")
    what.add_argument(
        "--corpus",
        metavar="DIR",
        help="a corpus with text, or Parquet shards made by rejoinder.retrieval.embed",
    )
    what.add_argument("--index", metavar="DIR", help="the index (default: CORPUS.index)")
    what.add_argument(
        "--model",
        metavar="PATH",
        help="anything that models.Encoder.load takes (default: what the index was built with)",
    )
    what.add_argument("--overwrite", action="store_true", help="build the index again")
    texts = parser.add_argument_group("Texts of a corpus")
    texts.add_argument(
        "--field", choices=[RESPONSE, CONTEXT], default=RESPONSE, help="default: response"
    )
    texts.add_argument("--split", choices=[*SPLITS, "all"], default="all", help="default: all")
    query = parser.add_argument_group("Queries")
    query.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="TEXT",
        help="may be given several times; - reads one query a line from standard input",
    )
    query.add_argument("-k", type=int, default=10, metavar="N", help="answers each; default 10")
    query.add_argument(
        "--effort", type=int, default=256, metavar="N", help="more finds more, slower; default 256"
    )
    query.add_argument("--exact", action="store_true", help="compare with every text")
    query.add_argument("--json", action="store_true", help="print one JSON object per query")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not (args.corpus or args.index):
        parser.error("give --corpus to build an index, or --index to use one")
    if args.k < 1 or args.effort < 1:
        parser.error("-k and --effort must be at least 1")
    from rejoinder.retrieval.index import SearchIndex, read_description

    folder = args.index or args.corpus.rstrip("/") + ".index"
    description = read_description(folder)
    encoders: dict = {}
    if description is None or args.overwrite:
        _build(folder, args, encoders)
    elif args.corpus and args.corpus != description.source:
        raise UserError(
            f"{folder}: is an index of {description.source}, not of {args.corpus}; "
            "choose another --index or --overwrite it"
        )
    index = SearchIndex(folder)
    model = args.model or index.description.model
    for text in _queries(args.query):
        # The first query pays for loading the model, so that a build alone does not.
        embedding = _encoder(model, encoders).encode([text])
        start = time.perf_counter()
        (answers,) = index.search(embedding, args.k, effort=args.effort, exact=args.exact)
        milliseconds = 1000 * (time.perf_counter() - start)
        if args.json:
            rows = [{"score": a.score, "text": a.text, **a.fields} for a in answers]
            print(json.dumps({"query": text, "answers": rows}, ensure_ascii=False))
            continue
        print(f"\n{text}   ({len(index):,} texts, {milliseconds:.1f} ms)")
        for answer in answers:
            fields = "  ".join(value for value in answer.fields.values() if value)
            print(f"  {answer.score:.3f}  {' '.join(answer.text.split())}  [{fields}]")
    return 0


def _queries(given: Sequence[str]) -> Iterator[str]:
    for text in given:
        yield from (line.strip() for line in sys.stdin if line.strip()) if text == "-" else [text]


def _encoder(model: str, loaded: dict):
    """Returns the encoder, loaded on first use."""
    if model not in loaded:
        from rejoinder.models.encoder import Encoder

        loaded[model] = Encoder.load(model)
    return loaded[model]


def _build(folder: str, args: argparse.Namespace, encoders: dict) -> None:
    import os

    from rejoinder.retrieval import index, index_input

    if not args.corpus:
        raise UserError(f"{folder}: no index is here; name a --corpus to build one")
    if not os.path.isdir(args.corpus):
        raise UserError(f"{args.corpus}: no such folder")
    if index_input.is_corpus(args.corpus):
        if not args.model:
            raise UserError("--model: a corpus has to be embedded; name the model")
        splits = SPLITS if args.split == "all" else (args.split,)
        encoder = _encoder(args.model, encoders)
        batches = index_input.corpus_batches(args.corpus, encoder, field=args.field, splits=splits)
        model = args.model
    else:
        batches = index_input.embedded_batches(args.corpus)
        model = args.model or index_input.embedding_model(args.corpus)
        if not model:
            raise UserError(f"{args.corpus}: does not say its model; name it with --model")
    start = time.perf_counter()
    made = index.build(folder, batches, model=model, source=args.corpus)
    seconds = time.perf_counter() - start
    rows = sum(made.segments)
    print(
        f"{folder}: {rows:,} texts indexed in {seconds:.1f} s ({rows / seconds:,.0f} a second)",
        file=sys.stderr,
    )
