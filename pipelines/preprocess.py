"""`python -m pipelines.preprocess`: Reddit comment dumps to tokenized shards."""

import argparse
import dataclasses
import importlib.metadata
import logging
import os
import re
import time
from collections.abc import Sequence

from corpus import cli
from corpus.errors import UserError
from corpus.features import TEXT_FEATURES, extra_context
from pipelines.options import PRESETS, ExtractOptions

_DEFAULT_TOKENIZER = "sentence-transformers/all-mpnet-base-v2"
# Software whose version may show in the bytes of a corpus.
_VERSIONED = ("repartee", "apache-beam", "polars", "pyarrow", "tensorflow", "tensorflow-text")


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; what it does not know is left for Beam."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.preprocess",
        description="Extracts (context, response) pairs from Reddit comment dumps (RC_*.zst, .bz2, "
        ".xz, .gz or plain NDJSON) into a folder of tokenized TFRecord shards.",
        epilog="Any other --option goes to Apache Beam, for example --runner=DataflowRunner "
        "--project=… --region=… --temp_location=gs://…",
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, globs or folders with RC_* files; local, gs:// or what else Beam reads",
    )
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the new corpus")
    paths.add_argument(
        "--tokenizer",
        default=_DEFAULT_TOKENIZER,
        metavar="DIR",
        help="Hugging Face tokenizer folder or hub name (default %(default)s)",
    )
    paths.add_argument("--name", help="name of the data set (default: last part of --output)")
    paths.add_argument("--overwrite", action="store_true", help="replace what is at --output")

    pairs = parser.add_argument_group("pairs")
    pairs.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="polyai",
        help="polyai (default): as PolyAI's extractor; clean: also --clean-text, "
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

    filters = parser.add_argument_group("filters")
    for flag, text in (
        ("--clean-text", "decode HTML entities, remove markdown, links and quoted lines"),
        ("--drop-removed-by-reddit", "refuse `[ Removed by Reddit ]`"),
        ("--drop-bots", "refuse comments by programs that say so"),
        ("--drop-duplicates", "keep equal pairs once in the whole corpus"),
        ("--drop-over-18", "refuse comments marked over_18"),
    ):
        filters.add_argument(flag, action="store_true", help=text)
    filters.add_argument("--min-score", type=int, metavar="N", help="lowest score of a comment")
    for flag, text in (
        ("--subreddits", "keep only these"),
        ("--block-subreddits", "refuse these"),
    ):
        filters.add_argument(
            flag,
            nargs="+",
            default=[],
            metavar="NAME",
            help=f"{text}; @FILE reads names, one a line",
        )
    filters.add_argument(
        "--sample", type=float, default=1.0, metavar="R", help="share of threads to keep"
    )
    filters.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each file"
    )

    shards = parser.add_argument_group("shards")
    shards.add_argument(
        "--max-length", type=int, default=128, help="most tokens per side (default 128)"
    )
    shards.add_argument(
        "--keep-text", action="store_true", help="store texts, authors and ids for train too"
    )
    shards.add_argument(
        "--num-shards", type=int, default=0, help="shards per split (default: by input size)"
    )

    damage = parser.add_argument_group("damaged input")
    damage.add_argument(
        "--on-truncated",
        choices=["error", "keep"],
        default="error",
        help="keep: use what a damaged archive still gives (default error)",
    )
    damage.add_argument(
        "--max-bad-ratio",
        type=float,
        default=0.01,
        metavar="R",
        help="largest share of lines that may be no comments (default 0.01)",
    )

    running = parser.add_argument_group("running")
    running.add_argument(
        "--runner", default="", help="Beam runner (default: FnApiRunner, on this machine)"
    )
    running.add_argument(
        "--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)"
    )
    running.add_argument(
        "--dry-run",
        action="store_true",
        help="print options, inputs, plan and estimated time, and stop",
    )
    running.add_argument("--quiet", action="store_true", help="no progress line, no summary")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    arguments, beam_arguments = build_parser().parse_known_args(argv)
    preset = PRESETS[arguments.preset]
    options = ExtractOptions(
        **{
            field.name: preset.get(field.name) or getattr(arguments, field.name)
            for field in dataclasses.fields(ExtractOptions)
            if field.name not in ("subreddits", "block_subreddits")
        },
        subreddits=_names("--subreddits", arguments.subreddits),
        block_subreddits=_names("--block-subreddits", arguments.block_subreddits),
    )
    from pipelines import runners

    runners.limit_threads()
    choice = runners.choose(arguments.runner, arguments.workers, beam_arguments)
    _preprocess(arguments, options, choice)
    return 0


def _names(flag: str, values: Sequence[str]) -> tuple[str, ...]:
    """Returns subreddit names without `r/`, sorted; `@file` stands for the file's lines."""
    names = []
    for value in values:
        if value.startswith("@"):
            try:
                with open(value[1:], encoding="utf-8") as file:
                    names.extend(file.read().split())
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{flag} {value}: cannot be read ({error})") from error
        else:
            names.append(value)
    return tuple(sorted({name.removeprefix("/").removeprefix("r/") for name in names}))


def _preprocess(arguments: argparse.Namespace, options: ExtractOptions, choice) -> None:
    from pipelines import inputs, publish, storage, tokenizer_files

    output = arguments.output.rstrip("/")
    if storage.is_local(output):
        output = os.path.abspath(output)
    files = inputs.expand(arguments.input)
    publish.check_output(output, overwrite=arguments.overwrite)
    tokenizer_content = tokenizer_files.read_files(arguments.tokenizer)
    tokenizer = tokenizer_files.load(tokenizer_content)
    staging = publish.staging_folder(output)
    num_buckets = options.num_shards or inputs.choose_buckets(files)
    publication = publish.Publication(
        output=output,
        name=arguments.name or os.path.basename(output),
        overwrite=arguments.overwrite,
        max_length=options.max_length,
        tokenizer=tokenizer.fingerprint,
        pad_id=tokenizer.pad_id,
        vocab_size=tokenizer.vocab_size,
        has_text=["train", "test"] if options.keep_text else ["test"],
        text_features=[*TEXT_FEATURES, *map(extra_context, range(options.extra_contexts))],
        options=options.to_dict() | {"num_shards": num_buckets},
        tokenizer_files=tokenizer_content,
        versions={name: importlib.metadata.version(name) for name in _VERSIONED},
    )

    from pipelines import job, spill
    from pipelines.sources import RedditComments

    spec = job.JobSpec(
        source=RedditComments(options),
        num_buckets=num_buckets,
        max_length=options.max_length,
        limit=options.limit,
        drop_duplicates=options.drop_duplicates,
        staging=staging,
        spill_folder=storage.join(staging, spill.FOLDER) if choice.is_local else None,
        keep_damaged=arguments.on_truncated == "keep",
        max_bad_ratio=arguments.max_bad_ratio,
        publication=publication,
    )
    parts = inputs.divide(files, choice.workers)
    started = time.monotonic()
    with publish.lock_staging(staging):
        _run(
            spec,
            parts,
            tokenizer_content,
            choice,
            sum(file.size for file in files),
            quiet=arguments.quiet,
        )
    if not arguments.quiet:
        _print_summary(output, time.monotonic() - started)


def _run(spec, parts, tokenizer_content, choice, total_bytes: int, *, quiet: bool) -> None:
    import contextlib

    import apache_beam as beam

    from pipelines import job
    from pipelines.progress import ProgressLine

    if choice.is_local:  # Beam logs each error's traceback before it raises it
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    pipeline = beam.Pipeline(runner=choice.create_runner(), options=choice.pipeline_options())
    job.build(pipeline, spec, parts, tokenizer_content)
    line = (
        contextlib.nullcontext()
        if quiet
        else ProgressLine(spec.staging, total_bytes, spec.num_buckets)
    )
    try:
        with line:
            pipeline.run().wait_until_finish()
    except UserError:
        raise
    except Exception as error:
        message = _user_message(error)
        if message is None:
            raise
        raise UserError(message) from error


def _user_message(error: BaseException) -> str | None:
    """Returns the `UserError`'s text inside what a runner makes of it, which is a text itself."""
    found = re.findall(
        r"(?:UserError|DamagedArchiveError): (.*?)(?: \[while running|\n|$)", str(error)
    )
    return found[-1] if found else None


def _print_summary(output: str, seconds: float) -> None:
    from corpus.manifest import load_manifest

    manifest = load_manifest(output)
    lines = sum(entry["lines"] for entry in manifest.inputs)
    print(f"{output}: {lines:,} lines in {seconds:.1f} s")
    for name, count in sorted(manifest.counters.items(), key=lambda item: -item[1]):
        if count:
            print(f"  {name:<34}{count:>14,}")


if __name__ == "__main__":
    cli.run(main)
