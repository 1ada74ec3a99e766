"""`rejoinder search`: builds an index of texts once, and searches it by meaning."""

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rejoinder import storage
from rejoinder.corpus.features import CONTEXT, RESPONSE
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.output import check_output
from rejoinder.retrieval.dtypes import DTYPES, F16
from rejoinder.units import format_duration

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder
    from rejoinder.retrieval.index import Answer

    LoadEncoder = Callable[[str], Encoder]


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="rejoinder search",
        description="Builds an index of texts on the first call, and answers queries from it.",
    )
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument(
        "--corpus",
        metavar="DIR",
        help="a corpus with text, or a folder of Parquet shards from `rejoinder embed`",
    )
    inputs.add_argument(
        "--index", metavar="DIR", help="local folder of the index (default: CORPUS.index)"
    )
    inputs.add_argument(
        "--model",
        metavar="PATH",
        help="training run, export, sentence-transformers or Hugging Face folder, or hub name "
        "(default: the model of the embeddings or of the index)",
    )
    inputs.add_argument(
        "--dtype",
        choices=DTYPES,
        help="numbers of the index: half precision, int8, or sign bits whose answers are scored "
        "with int8 (default f16)",
    )
    inputs.add_argument("--overwrite", action="store_true", help="replace a finished index")
    texts = parser.add_argument_group("texts of a corpus")
    texts.add_argument(
        "--field",
        choices=[RESPONSE, CONTEXT],
        default=RESPONSE,
        help="side of the pairs to index (default: response)",
    )
    texts.add_argument(
        "--split", choices=[*SPLITS, "all"], default="all", help="split to index (default: all)"
    )
    queries = parser.add_argument_group("queries")
    queries.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="TEXT",
        help="may be repeated; - reads one query a line from standard input",
    )
    queries.add_argument(
        "-k", type=int, default=10, metavar="N", help="answers for each query (default 10)"
    )
    queries.add_argument(
        "--effort",
        type=int,
        default=256,
        metavar="N",
        help="candidates to visit; more improve recall and take longer (default 256)",
    )
    queries.add_argument("--exact", action="store_true", help="compare with every text")
    queries.add_argument("--json", action="store_true", help="print one JSON object per query")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not (args.corpus or args.index):
        parser.error("give --corpus to build an index, or --index to use one")
    if args.k < 1 or args.effort < 1:
        parser.error("-k and --effort must be at least 1")
    from rejoinder.retrieval.index import SearchIndex
    from rejoinder.retrieval.index_files import read_description

    load_encoder = functools.cache(_load_encoder)
    folder = args.index or args.corpus.rstrip("/") + ".index"
    description = None if args.overwrite else read_description(folder)
    if description is None:
        _build(folder, args, load_encoder)
    elif args.corpus and args.corpus != description.source:
        raise UserError(
            f"{folder}: is an index of {description.source}, not of {args.corpus}; "
            "choose another --index or --overwrite it"
        )
    elif args.dtype not in (None, description.dtype):
        raise UserError(
            f"{folder}: is an index with --dtype {description.dtype}, not {args.dtype}; "
            "choose another --index or --overwrite it"
        )
    index = SearchIndex(folder)
    model = args.model or index.description.model
    if model != index.description.model:
        print(
            f"warning: {folder} was built with {index.description.model}, "
            f"and queries are embedded with {model}",
            file=sys.stderr,
        )
    from rejoinder.models.similarity import scale_to_unit_length

    for query in _queries(args.query):
        # Loaded with the first query: building an index from embeddings needs no model.
        embedding = scale_to_unit_length(load_encoder(model).encode([query]))
        start = time.perf_counter()
        (answers,) = index.search(embedding, args.k, effort=args.effort, exact=args.exact)
        milliseconds = 1000 * (time.perf_counter() - start)
        if args.json:
            print(_as_json(query, answers))
        else:
            print(f"\n{query}   ({len(index):,} texts, {milliseconds:.1f} ms)")
            print("\n".join(map(_as_line, answers)))
    print(
        f"next: rejoinder search --index {folder} --query TEXT, rejoinder cluster --index {folder}",
        file=sys.stderr,
    )
    return 0


def _queries(given: Sequence[str]) -> Iterator[str]:
    """Yields the queries of the command line; `-` is replaced by the lines of standard input."""
    for text in given:
        if text == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield text


def _as_json(query: str, answers: Sequence["Answer"]) -> str:
    rows = [{"score": a.score, "text": a.text, **a.fields} for a in answers]
    return json.dumps({"query": query, "answers": rows}, ensure_ascii=False)


def _as_line(answer: "Answer") -> str:
    fields = "  ".join(value for value in answer.fields.values() if value)
    return f"  {answer.score:.3f}  {' '.join(answer.text.split())}  [{fields}]"


def _load_encoder(model: str) -> "Encoder":
    from rejoinder.models.encoder import Encoder

    return Encoder.load(model)


def _build(folder: str, args: argparse.Namespace, load_encoder: "LoadEncoder") -> None:
    """Builds the index of `args.corpus` in `folder`."""
    from rejoinder.corpus import embeddings
    from rejoinder.retrieval import index_builder, index_files, index_input

    if not args.corpus:
        raise UserError(f"{folder}: holds no index; give a --corpus to build one")
    if not storage.exists(args.corpus):
        raise UserError(f"{args.corpus}: no such folder")
    # Before the model is loaded.
    corpus = [("--corpus", args.corpus)]
    check_output(folder, index_files.INDEX, overwrite=args.overwrite, inputs=corpus, flag="--index")
    if index_input.is_corpus(args.corpus):
        model = args.model
        if not model:
            raise UserError(f"{args.corpus}: is not embedded yet; name the model with --model")
        splits = SPLITS if args.split == "all" else (args.split,)
        encoder = load_encoder(model)
        batches = index_input.corpus_batches(args.corpus, encoder, field=args.field, splits=splits)
    else:
        batches = embeddings.read_batches(args.corpus)
        model = args.model or embeddings.embedding_model(args.corpus)
        if not model:
            raise UserError(f"{args.corpus}: does not name its model; name it with --model")
    start = time.perf_counter()
    built = index_builder.build(
        folder,
        batches,
        model=model,
        source=args.corpus,
        dtype=args.dtype or F16,
        overwrite=args.overwrite,
    )
    seconds = time.perf_counter() - start
    rows = sum(built.segments)
    print(
        f"{folder}: wrote an index of {rows:,} texts in {format_duration(seconds)} "
        f"({rows / seconds:,.0f} a second)",
        file=sys.stderr,
    )
