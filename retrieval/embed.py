"""`rejoinder embed`: texts of any number to Parquet shards with their embeddings."""

import argparse
import json
import logging
import re
import sys
import time
from collections.abc import Sequence

from rejoinder.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; what it does not know is left for Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder embed",
        description="Embeds texts out of NDJSON (.zst, .bz2, .xz, .gz or plain), Parquet or a "
        "corpus folder with Beam's RunInference. Each Parquet shard holds the columns text, "
        "embedding and those of --keep; manifest.json is written last.",
        epilog="Any other --option goes to Apache Beam.",
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, globs, folders of Parquet files, or corpus folders",
    )
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the shards")
    paths.add_argument(
        "--model", required=True, metavar="PATH", help="anything that models.Encoder.load takes"
    )
    paths.add_argument("--overwrite", action="store_true", help="replace what is at --output")

    texts = parser.add_argument_group("texts")
    texts.add_argument(
        "--field",
        default="body",
        metavar="NAME",
        help="what holds the text: a field (default body), column or feature "
        "(response, context) of a corpus",
    )
    texts.add_argument(
        "--keep", nargs="+", default=[], metavar="NAME", help="fields to write beside the embedding"
    )
    texts.add_argument(
        "--split", choices=["train", "test", "all"], default="all", help="of a corpus; default all"
    )
    texts.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each NDJSON"
    )
    texts.add_argument(
        "--on-truncated",
        choices=["error", "keep"],
        default="error",
        help="keep: use what a damaged archive still gives (default error)",
    )

    numbers = parser.add_argument_group("numbers")
    numbers.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="of the computation"
    )
    numbers.add_argument(
        "--dtype", choices=["float32", "float16"], default="float32", help="of what is stored"
    )

    running = parser.add_argument_group("running")
    running.add_argument("--runner", default="", help="Beam runner (default: on this machine)")
    running.add_argument(
        "--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    arguments, beam_arguments = build_parser().parse_known_args(argv)
    from rejoinder.pipelines.job import runners

    if arguments.workers > 1:  # one process alone may use all cores
        runners.limit_threads()
    choice = runners.choose(arguments.runner, arguments.workers, beam_arguments)

    import apache_beam as beam

    from rejoinder import storage
    from rejoinder.retrieval import embedding_job
    from rejoinder.retrieval.texts import ReadOptions, find_sources

    splits = ("train", "test") if arguments.split == "all" else (arguments.split,)
    read = ReadOptions(
        field=arguments.field,
        keep=tuple(name for name in arguments.keep if name != arguments.field),
        splits=splits,
        limit=arguments.limit,
        keep_damaged=arguments.on_truncated == "keep",
    )
    sources = find_sources(arguments.input, read, choice.workers)
    output = arguments.output.rstrip("/")
    spec = embedding_job.EmbedSpec(
        arguments.model, output, read, arguments.precision, arguments.dtype
    )
    manifest = storage.join(output, embedding_job.MANIFEST)
    if storage.exists(manifest) and not arguments.overwrite:
        raise UserError(f"{output}: is finished; --overwrite replaces it")
    storage.make_folder(output)
    # Shards of an earlier run may have other names, and would stay among the new ones.
    storage.delete([e.path for e in storage.glob(storage.join(output, "part-*.parquet"))])
    storage.delete([manifest] if storage.exists(manifest) else [])

    started = time.monotonic()
    if choice.is_local:  # Beam logs each error's traceback before it raises it
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    pipeline = beam.Pipeline(runner=choice.create_runner(), options=choice.pipeline_options())
    embedding_job.build(pipeline, sources, spec)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        # Runners hand on what a worker raised as a text, with the step it was raised in.
        text = f"{type(error).__name__}: {error}"
        found = re.search(r"(?:UserError|DamagedArchiveError): (.*?)( \[while running|\n|$)", text)
        if found is None:
            raise
        raise UserError(found[1]) from error
    _summarize(json.loads(storage.read_bytes(manifest)), output, time.monotonic() - started)
    return 0


def _summarize(manifest: dict, output: str, seconds: float) -> None:
    rows, shards = manifest["rows"], len(manifest["shards"])
    print(f"{output}: {rows:,} texts in {shards} shards, {rows / seconds:,.0f} a second")
    if manifest["bad_rows"]:
        field = manifest["spec"]["read"]["field"]
        print(
            f"{manifest['bad_rows']:,} lines left out: no JSON object with the text {field!r}",
            file=sys.stderr,
        )
    if not rows:
        raise UserError(f"no row has a text {manifest['spec']['read']['field']!r}; see --field")
