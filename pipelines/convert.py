"""`rejoinder convert CORPUS`: the pairs of a corpus as files for other programs."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder.corpus.naming import SPLITS, TABLE_FORMATS
from rejoinder.pipelines.job import arguments, thread_limit

if TYPE_CHECKING:
    from rejoinder.corpus.manifest import Manifest
    from rejoinder.corpus.table_files import TableFiles


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; arguments that it does not know go to Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder convert",
        description="Writes the pairs of a corpus, with their texts, ids and subreddit, as one "
        "file per shard and a README.md with which `datasets.load_dataset` opens the folder. The "
        "corpus needs the texts of both splits (`rejoinder preprocess --keep-text`).",
        epilog=arguments.BEAM_EPILOG,
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "corpus", metavar="CORPUS", help="folder of a finished corpus; local, gs:// or s3://"
    )
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the new files")
    paths.add_argument(
        "--overwrite", action="store_true", help="replace converted files that are at --output"
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--format",
        choices=TABLE_FORMATS,
        required=True,
        help="parquet; jsonl: the same as JSON lines; polyai-json: the JSON of PolyAI's "
        "conversational-datasets",
    )
    running = parser.add_argument_group("running")
    arguments.add_runner_arguments(running)
    arguments.add_workers_argument(running)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `rejoinder convert`."""
    parsed, beam_arguments = build_parser().parse_known_args(argv)
    thread_limit.limit_threads()
    from rejoinder.corpus import data_card, texts
    from rejoinder.corpus.table_files import TableFiles
    from rejoinder.output import check_output
    from rejoinder.pipelines.conversion import job
    from rejoinder.pipelines.job import execution, runners
    from rejoinder.staging import lock_staging

    corpus = parsed.corpus.rstrip("/")
    runner = runners.choose(parsed.runner, parsed.workers, beam_arguments)
    for split in SPLITS:
        manifest = texts.require_text(corpus, split)
    tables = TableFiles.of(parsed.format, texts.text_features(corpus))
    runner = runners.choose_workers(runner, parsed.workers, manifest.stored_bytes())
    output = check_output(
        parsed.output, job.CONVERTED, overwrite=parsed.overwrite, inputs=[("CORPUS", corpus)]
    )
    with lock_staging(output) as staging:
        spec = job.ConvertSpec(
            corpus,
            tables,
            output,
            staging,
            parsed.overwrite,
            data_card.data_card(manifest, tables),
        )
        execution.run_pipeline(runner, lambda pipeline: job.build(pipeline, manifest, spec))
    print(_summarize(manifest, tables, parsed.output))
    return 0


def _summarize(manifest: "Manifest", tables: "TableFiles", output: str) -> str:
    files = sum(len(shards) for shards in manifest.splits.values())
    pairs = ", ".join(f"{split} {manifest.examples(split):,}" for split in SPLITS)
    lines = [f"wrote {output}: {files} {tables.format} files, pairs: {pairs}"]
    if tables.format != "polyai-json":
        lines.append(f'next: datasets.load_dataset("{output}"); see README.md there')
    return "\n".join(lines)
