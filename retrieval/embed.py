"""`rejoinder embed`: any number of texts to Parquet shards with their embeddings."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rejoinder import interrupts, storage
from rejoinder.options import add_precision
from rejoinder.output import check_output, check_replaceable
from rejoinder.pipelines.job import arguments, runners, thread_limit, workers
from rejoinder.staging import lock_staging

if TYPE_CHECKING:
    from rejoinder.retrieval.embedding_job import EmbedSpec
    from rejoinder.retrieval.texts import ReadOptions, TextPart


# Packages whose code makes the embeddings.
_PACKAGES = ("corpus", "models", "pipelines/dumps", "retrieval")
# What the workers of the job import.
_WORKER_MODULES = (
    "rejoinder.retrieval.embedding_job",
    "rejoinder.models.encoder",
    "tensorflow_text",
)


def build_parser() -> argparse.ArgumentParser:
    """Returns the command's parser; arguments that it does not know go to Beam."""
    parser = argparse.ArgumentParser(
        prog="rejoinder embed",
        description="Embeds texts from NDJSON (.zst, .bz2, .xz, .gz or plain), Parquet or a "
        "corpus folder with Beam's RunInference. Each Parquet shard holds the columns text, "
        "embedding and those of --keep; manifest.json is written last.",
        epilog=f"{arguments.BEAM_EPILOG} Next: `rejoinder search` and `rejoinder cluster`.",
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    arguments.add_input_argument(paths, "files, globs, folders of Parquet files, or corpus folders")
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the shards")
    paths.add_argument(
        "--model",
        required=True,
        metavar="PATH",
        help="training run, export, sentence-transformers or Hugging Face folder, or hub name",
    )
    paths.add_argument("--overwrite", action="store_true", help="replace finished embeddings")
    _add_text_arguments(parser)
    numbers = parser.add_argument_group("numbers")
    add_precision(numbers)
    numbers.add_argument(
        "--dtype",
        choices=["float32", "float16", "int8", "binary"],
        default="float32",
        help="type of the stored numbers; binary stores the sign of each in one bit "
        "(default %(default)s)",
    )
    running = parser.add_argument_group("running")
    arguments.add_runner_arguments(running)
    running.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="local worker processes (default 1, which uses all cores)",
    )
    arguments.add_restart_argument(running)
    return parser


def _add_text_arguments(parser: argparse.ArgumentParser) -> None:
    texts = parser.add_argument_group("texts")
    texts.add_argument(
        "--field",
        default="body",
        metavar="NAME",
        help="the field (default body; title or selftext of RS_ files), column, or feature of a "
        "corpus (response, context) with the text",
    )
    texts.add_argument(
        "--keep", nargs="+", default=[], metavar="NAME", help="fields to write beside the embedding"
    )
    texts.add_argument(
        "--split",
        choices=["train", "test", "all"],
        default="all",
        help="split of a corpus (default all)",
    )
    texts.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N lines of each NDJSON"
    )
    arguments.add_truncation_argument(texts)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `rejoinder embed`."""
    parsed, beam_arguments = build_parser().parse_known_args(argv)
    # TensorFlow reads it at import; its notes on the processor would hide the errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if parsed.workers > 1:  # one process alone may use all cores
        thread_limit.limit_threads(hide_gpus=False)
    with interrupts.exit_at_once():
        runner = runners.choose(parsed.runner, parsed.workers, beam_arguments)
        workers.prepare(runner, _WORKER_MODULES)
        from rejoinder.corpus.embeddings import EMBEDDINGS, MANIFEST
        from rejoinder.models.device import use_first_gpu
        from rejoinder.pipelines.job import execution
        from rejoinder.pipelines.job.engines import placement
        from rejoinder.retrieval import embedding_job
        from rejoinder.retrieval.texts import find_parts

    read = _read_options(parsed)
    parts = find_parts(parsed.input, read, runner.workers)
    inputs = [("--input", path) for path in dict.fromkeys(part.path for part in parts)]
    model = [("--model", parsed.model)] if os.path.exists(parsed.model) else []
    placement.check_paths(runner, [*inputs, ("--output", parsed.output), *model])
    output = check_output(
        parsed.output,
        EMBEDDINGS,
        overwrite=parsed.overwrite,
        inputs=[*inputs, ("--model", parsed.model)],
    )
    spec = embedding_job.EmbedSpec(
        parsed.model, output, parsed.overwrite, read, parsed.precision, parsed.dtype
    )
    if runner.is_local:
        print(f"device: {use_first_gpu()}", file=sys.stderr)
    started = time.monotonic()
    resumable = runner.is_local and storage.is_local(output)
    with _continued(spec, parts, restart=parsed.restart) if resumable else lock_staging(output):
        # Again, because `lock_staging` restores a folder that an interrupted run had moved.
        check_replaceable(output, EMBEDDINGS, overwrite=parsed.overwrite)
        execution.run_pipeline(
            runner,
            lambda pipeline: embedding_job.build(pipeline, parts, spec, resumable=resumable),
        )
    manifest = json.loads(storage.read_bytes(storage.join(output, MANIFEST)))
    _summarize(manifest, parsed.output, time.monotonic() - started)
    return 0


def _read_options(parsed: argparse.Namespace) -> "ReadOptions":
    from rejoinder.retrieval.texts import ReadOptions

    return ReadOptions(
        field=parsed.field,
        keep=tuple(name for name in parsed.keep if name != parsed.field),
        splits=("train", "test") if parsed.split == "all" else (parsed.split,),
        limit=parsed.limit,
        keep_damaged=parsed.on_truncated == "keep",
    )


def _continued(
    spec: "EmbedSpec", parts: "Sequence[TextPart]", *, restart: bool
) -> AbstractContextManager[object]:
    """Returns the context in which the staging folder is locked, also for a continued run."""
    from rejoinder.pipelines.job import resume

    identity = {
        "inputs": [[path, storage.version(path)] for path in sorted({p.path for p in parts})],
        "model": [spec.model, _model_files(spec.model)],
        "software": resume.code_digest(_PACKAGES),
        "texts": asdict(spec.read),
        "precision": spec.precision,
        "dtype": spec.dtype,
    }
    return resume.continued(
        spec.output, identity, restart=restart, tell=lambda line: print(line, file=sys.stderr)
    )


def _model_files(model: str) -> list[tuple[str, str]]:
    """Returns path and version of a model folder's files; the hub's names stand for themselves."""
    if not storage.exists(model):
        return []
    return [(entry.path, storage.version(entry.path)) for entry in storage.list_tree(model)]


def _summarize(manifest: dict[str, Any], output: str, seconds: float) -> None:
    rows, shards = manifest["rows"], len(manifest["shards"])
    field = manifest["spec"]["read"]["field"]
    if manifest["bad_rows"]:
        print(
            f"{manifest['bad_rows']:,} lines left out: not a JSON object with the text {field!r}",
            file=sys.stderr,
        )
    print(
        f"wrote {output}: {rows:,} texts in {shards} shards, {rows / seconds:,.0f} texts/s\n"
        f'next: rejoinder search --corpus {output} --query "…"\n'
        "      rejoinder cluster --help"
    )
