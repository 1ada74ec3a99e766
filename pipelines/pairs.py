"""`rejoinder pairs`: files of ready pairs to the same shards as Reddit dumps.

With it `data_config.json` can mix Reddit with other data sets, such as those of
https://huggingface.co/datasets/sentence-transformers/embedding-training-data.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from rejoinder import interrupts
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.job import (
    arguments,
    heavy_imports,
    options_file,
    runners,
    thread_limit,
    workers,
)

# The files that are read in a folder.
_FOLDER_PATTERNS = (
    *("*.jsonl", "*.jsonl.*", "*.ndjson", "*.ndjson.*", "*.json.gz"),
    *("*.csv", "*.csv.*", "*.tsv", "*.tsv.*", "*.parquet"),
)


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; arguments that it does not know go to Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder pairs",
        description="Converts files of pairs of texts into a folder of tokenized TFRecord shards: "
        'JSON lines (["a", "b"], {"query", "pos"}, {"set": […]} and others), CSV or TSV (plain, '
        ".gz, .zst, .bz2 or .xz), or Parquet. The documentation lists the forms of a pair.",
        epilog=f"{arguments.BEAM_EPILOG} Next: `rejoinder verify` and `rejoinder train`.",
        allow_abbrev=False,
    )
    arguments.add_path_arguments(
        parser,
        "files, globs or folders with *.jsonl*, *.csv*, *.tsv* or *.parquet; local, gs:// or s3://",
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument(
        "--columns",
        nargs=2,
        default=(),
        metavar=("A", "B"),
        help="keys or columns of context and response (default: the first known form that a row "
        "has); numbers are positions from 1 in arrays, and in CSV and TSV without a header",
    )
    pairs.add_argument(
        "--test-share",
        type=float,
        default=0.1,
        metavar="R",
        help="share of contexts whose pairs go to the test split (default 0.1)",
    )
    pairs.add_argument(
        "--linked",
        action="store_true",
        help="pairs that share a text, also through other pairs, are one thread, such as captions "
        "of one picture: they are in one split, and training with task.loss.mask_threads takes "
        "none for a negative of another",
    )
    pairs.add_argument("--drop-duplicates", action="store_true", help="keep equal pairs once")
    pairs.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each file"
    )
    arguments.add_job_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `rejoinder pairs`."""
    parsed, beam_arguments = options_file.parse(build_parser(), argv)
    job = arguments.JobArguments.of(parsed)
    thread_limit.limit_threads()
    with interrupts.exit_at_once(), heavy_imports.uncollected():
        runner = runners.choose(parsed.runner, parsed.workers, beam_arguments)
        # `--columns title selftext` reads submissions.
        files = input_files.expand(parsed.input, _FOLDER_PATTERNS, accept_submissions=True)
        size = input_files.text_bytes(files)
        runner = runners.choose_workers(runner, parsed.workers, size, quiet=parsed.quiet)
        if not parsed.dry_run:
            workers.prepare(runner, workers.JOB_MODULES)
        from rejoinder.pipelines.job.run import make_corpus
        from rejoinder.pipelines.pair_files.extractor import PairFiles, PairOptions
        from rejoinder.pipelines.pair_files.links import find_threads

    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(PairOptions)}
    options = PairOptions(**values | {"columns": tuple(parsed.columns)})
    extractor = PairFiles(options)
    if options.linked and not runner.is_local:
        raise UserError("--linked: reads all pairs in this process first; leave out --runner")
    if options.linked and not parsed.dry_run:
        paths = [file.path for file in files]
        threads, sizes = find_threads(extractor, paths, keep_damaged=job.keep_damaged)
        extractor = dataclasses.replace(extractor, threads=threads)
        if not parsed.quiet:
            print(
                f"linked: {sizes.pairs:,} pairs are {sizes.threads:,} threads, the largest of "
                f"{sizes.largest:,} pairs",
                file=sys.stderr,
            )
    make_corpus(
        job,
        runner,
        files,
        extractor=extractor,
        options=options,
        text_features=extractor.text_features,
    )
    return 0
