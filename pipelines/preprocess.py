"""`rejoinder preprocess`: Reddit comment dumps to tokenized shards."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from rejoinder import interrupts
from rejoinder.corpus import checksums
from rejoinder.corpus.features import TEXT_FEATURES, further_text_features
from rejoinder.output import check_place, resolve, surroundings
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.growth import extend
from rejoinder.pipelines.job import (
    arguments,
    heavy_imports,
    options_file,
    runners,
    thread_limit,
    workers,
)
from rejoinder.pipelines.job.engines import placement
from rejoinder.pipelines.reddit import authors
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import PRESETS, ExtractOptions
from rejoinder.pipelines.reddit.subreddits import parse_names


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; arguments that it does not know go to Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder preprocess",
        description="Extracts (context, response) pairs from Reddit comment dumps (RC_*.zst, .bz2, "
        ".xz, .gz or plain NDJSON) into a folder of tokenized TFRecord shards.",
        epilog=f"{arguments.BEAM_EPILOG} Next: `rejoinder verify` and `rejoinder train`.",
        allow_abbrev=False,
    )
    arguments.add_path_arguments(
        parser, "files, globs or folders with RC_* files; local, gs:// or s3://"
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="polyai",
        help="polyai (default): the rules of PolyAI's extractor; clean: also --clean-text, "
        "--drop-removed-by-reddit, --drop-bots and --drop-duplicates",
    )
    pairs.add_argument(
        "--min-chars", type=int, default=9, help="fewest characters per side (default 9)"
    )
    pairs.add_argument(
        "--max-chars", type=int, default=127, help="most characters per side (default 127)"
    )
    pairs.add_argument(
        "--extra-contexts",
        type=int,
        default=0,
        metavar="N",
        help="also store N further ancestors as context/0…",
    )
    pairs.add_argument(
        "--submissions",
        choices=["title", "title+selftext"],
        default="",
        help="also read submissions (RS_*): this text is the context of the comments on them",
    )
    pairs.add_argument(
        "--copies",
        choices=["passing", "deleted"],
        default="passing",
        help="which of several comments with one id counts: one that passes the filters "
        "(default), or one that is deleted or removed",
    )
    pairs.add_argument(
        authors.FLAG,
        metavar="FILE",
        help="replace the names of authors by hashes with the key in this file, 16 bytes or more",
    )
    _add_filter_arguments(parser)
    extend.add_arguments(parser)
    arguments.add_job_arguments(parser)
    return parser


def _add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("filters")
    for flag, text in (
        ("--clean-text", "decode HTML entities; remove markdown, links and quoted lines"),
        ("--drop-removed-by-reddit", "drop `[ Removed by Reddit ]`"),
        ("--drop-bots", "drop comments that say that a program wrote them"),
        ("--drop-duplicates", "keep equal pairs once in the whole corpus"),
        ("--drop-over-18", "drop comments marked over_18"),
        (
            "--drop-deleted-later",
            "drop what dumps mark as deleted or removed later",
        ),
    ):
        filters.add_argument(flag, action="store_true", help=text)
    for flag, text in (("--after", "from TIME on"), ("--before", "before TIME")):
        filters.add_argument(
            flag,
            default="",
            metavar="TIME",
            help=f"keep comments {text}: 2006, 2006-01, 2006-01-31 or ISO 8601, in UTC",
        )
    filters.add_argument(
        "--decontaminate",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="drop pairs that contain a text of these evaluation files (CSV, TSV, JSON lines or "
        "plain lines): 12 words of it, or all of a shorter one",
    )
    filters.add_argument("--min-score", type=int, metavar="N", help="lowest score of a comment")
    for flag, text in (
        ("--subreddits", "keep only these"),
        ("--block-subreddits", "drop these"),
    ):
        filters.add_argument(
            flag,
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME",
            help=f"{text}: names, links or comma-separated lists; @FILE reads a file of them",
        )
    filters.add_argument(
        "--sample", type=float, default=1.0, metavar="R", help="share of threads to keep"
    )
    filters.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each file"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `rejoinder preprocess`."""
    parser = build_parser()
    argv = extend.expand(parser, sys.argv[1:] if argv is None else argv)
    parsed, beam_arguments = options_file.parse(parser, argv)
    job, options = arguments.JobArguments.of(parsed), _options(parsed)
    thread_limit.limit_threads()
    with interrupts.exit_at_once(), heavy_imports.uncollected():
        runner = runners.choose(parsed.runner, parsed.workers, beam_arguments)
        if parsed.hash_authors:
            _check_key_file(parsed, runner)
        patterns = ["RC_*", "RS_*"] if options.submissions else ["RC_*"]
        files = input_files.expand(
            parsed.input, patterns, accept_submissions=bool(options.submissions)
        )
        size = input_files.text_bytes(files)
        runner = runners.choose_workers(runner, parsed.workers, size, quiet=parsed.quiet)
        if not parsed.dry_run:
            workers.prepare(runner, workers.JOB_MODULES)
        from rejoinder.pipelines.job.run import make_corpus
        from rejoinder.pipelines.reddit.contamination import read_grams

    grams = read_grams(options.decontaminate)
    if grams:
        digest = checksums.sha256("\n".join(grams).encode())
        options = dataclasses.replace(options, evaluation_sha256=digest)
    growth = extend.growth_spec(parsed.extend, options)
    extends = (growth.corpus, growth.checksum) if growth and growth.corpus else None
    make_corpus(
        job,
        runner,
        files,
        extractor=RedditComments(options, parsed.hash_authors or "", grams, extends),
        options=options,
        text_features=[*TEXT_FEATURES, *further_text_features(options.extra_contexts)],
        growth=growth,
    )
    return 0


def _check_key_file(parsed: argparse.Namespace, runner: runners.RunnerChoice) -> None:
    """Checks that the workers can read the file of the key, and that the run does not delete it."""
    key_file = [(authors.FLAG, parsed.hash_authors)]
    placement.check_paths(runner, key_file)
    output = resolve(parsed.output)
    check_place(parsed.output, output, surroundings(key_file))


def _options(parsed: argparse.Namespace) -> ExtractOptions:
    preset = PRESETS[parsed.preset]
    values: dict[str, Any] = {
        field.name: preset.get(field.name) or getattr(parsed, field.name, field.default)
        for field in dataclasses.fields(ExtractOptions)
    }
    values["hash_authors"] = ""
    if parsed.hash_authors is not None:
        values["hash_authors"] = authors.fingerprint(authors.read_key(parsed.hash_authors))
    values["decontaminate"] = tuple(parsed.decontaminate)
    values["subreddits"] = parse_names("--subreddits", parsed.subreddits)
    values["block_subreddits"] = parse_names("--block-subreddits", parsed.block_subreddits)
    return ExtractOptions(**values)
