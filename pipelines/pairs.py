"""`rejoinder pairs`: files of ready pairs to the same shards as Reddit's.

So that `data_config.json` can mix Reddit with other data sets, such as those of
https://huggingface.co/datasets/sentence-transformers/embedding-training-data.
"""

import argparse
import dataclasses
from collections.abc import Sequence

from rejoinder.pipelines.job import command


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; what it does not know is left for Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder pairs",
        description='Turns JSON lines of pairs, ["a", "b"] or {"context": "a", "response": "b"} '
        "(plain, .gz, .zst, .bz2 or .xz), into a folder of tokenized TFRecord shards.",
        epilog="Any other --option goes to Apache Beam.",
        allow_abbrev=False,
    )
    command.add_path_arguments(
        parser, "files, globs or folders with *.jsonl*; local, gs:// or what else Beam reads"
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument(
        "--test-share",
        type=float,
        default=0.1,
        metavar="R",
        help="share of contexts whose pairs go to the test split (default 0.1)",
    )
    pairs.add_argument("--drop-duplicates", action="store_true", help="keep equal pairs once")
    pairs.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each file"
    )
    command.add_job_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    arguments, beam_arguments = build_parser().parse_known_args(argv)
    from rejoinder.pipelines.job import runners

    runners.limit_threads()
    from rejoinder.pipelines.pair_files.extractor import TEXT_FEATURES, PairFiles, PairOptions

    options = PairOptions(
        **{field.name: getattr(arguments, field.name) for field in dataclasses.fields(PairOptions)}
    )
    command.make_corpus(
        arguments,
        beam_arguments,
        extractor=PairFiles(options),
        options=options,
        text_features=list(TEXT_FEATURES),
        default_patterns=["*.jsonl", "*.jsonl.*", "*.json.gz"],
    )
    return 0
