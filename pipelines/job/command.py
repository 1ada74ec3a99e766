"""What `rejoinder.pipelines.preprocess` and `rejoinder.pipelines.pairs` share: options, plan, run, summary."""

import argparse
import contextlib
import importlib.metadata
import json
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from rejoinder.corpus.naming import COMPLETED, SPLITS
from rejoinder.errors import UserError
from rejoinder.pipelines.job.extractor import Extractor

_DEFAULT_TOKENIZER = "sentence-transformers/all-mpnet-base-v2"
# Software whose version may show in the bytes of a corpus.
_VERSIONED = ("rejoinder", "apache-beam", "polars", "pyarrow", "tensorflow", "tensorflow-text")
# For --dry-run: decompressed bytes that one core does in a second (benchmarks/preprocess.py).
_BYTES_PER_CORE_SECOND = 100e6


def add_path_arguments(parser: argparse.ArgumentParser, input_help: str) -> None:
    """Adds --input, --output, --tokenizer, --name and --overwrite."""
    paths = parser.add_argument_group("paths")
    paths.add_argument("--input", nargs="+", required=True, metavar="PATH", help=input_help)
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the new corpus")
    paths.add_argument(
        "--tokenizer",
        default=_DEFAULT_TOKENIZER,
        metavar="DIR",
        help="Hugging Face tokenizer folder or hub name (default %(default)s)",
    )
    paths.add_argument("--name", help="name of the data set (default: last part of --output)")
    paths.add_argument("--overwrite", action="store_true", help="replace what is at --output")


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of shards, damaged input and running."""
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
        help="largest share of lines that may be unusable (default 0.01)",
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
    running.add_argument(
        "--detach",
        action="store_true",
        help="submit the job to a cluster and return; its last step publishes the corpus",
    )
    running.add_argument("--quiet", action="store_true", help="no progress line, no summary")


def make_corpus(
    arguments: argparse.Namespace,
    beam_arguments: Sequence[str],
    *,
    extractor: Extractor,
    options: Any,
    text_features: list[str],
    default_patterns: Sequence[str] = (),
) -> None:
    """Makes a corpus as the arguments say.

    Args:
        arguments: With the options of `add_path_arguments` and `add_job_arguments`.
        beam_arguments: What Beam is to understand.
        extractor: Reads lines and makes pairs.
        options: Its options: `to_dict()`, `max_length`, `num_shards`, `limit`,
            `keep_text` and `drop_duplicates`.
        text_features: Names of the features beside the token ids.
        default_patterns: File names that stand for a folder given as input.

    Raises:
        UserError: see the message.
    """
    from rejoinder.pipelines.job import runners

    runners.limit_threads()
    choice = runners.choose(arguments.runner, arguments.workers, beam_arguments)
    from rejoinder import storage
    from rejoinder.pipelines.dumps import input_files
    from rejoinder.pipelines.job import disk_shuffle, tokenizer_files
    from rejoinder.pipelines.job.steps.spec import JobSpec
    from rejoinder.pipelines.publish import publish

    output = arguments.output.rstrip("/")
    if storage.is_local(output):
        output = os.path.abspath(output)
    files = input_files.expand(arguments.input, default_patterns)
    publish.check_output(output, overwrite=arguments.overwrite)
    num_buckets = options.num_shards or input_files.choose_buckets(files)
    resolved = options.to_dict() | {"num_shards": num_buckets}
    parts = input_files.divide(files, choice.workers)
    staging = publish.staging_folder(output)
    spill_here = choice.is_local and storage.is_local(staging)
    spec = JobSpec(
        extractor=extractor,
        num_buckets=num_buckets,
        max_length=options.max_length,
        limit=options.limit,
        drop_duplicates=options.drop_duplicates and extractor.duplicates_cross_buckets,
        staging=staging,
        spill_folder=storage.join(staging, disk_shuffle.FOLDER) if spill_here else None,
        keep_damaged=arguments.on_truncated == "keep",
        max_bad_ratio=arguments.max_bad_ratio,
    )
    if arguments.dry_run:
        print(_plan(output, files, parts, resolved, choice))
        if choice.name == "DataflowRunner":
            steps = runners.dataflow_steps(choice, _empty_job(spec, output))
            print(f"Dataflow graph built, {len(steps)} steps: {', '.join(steps)}")
        return
    if arguments.detach and choice.is_local:
        raise UserError("--detach: only a cluster's runner can go on without this process")
    files_of_tokenizer = tokenizer_files.read_files(arguments.tokenizer)
    tokenizer = tokenizer_files.load(files_of_tokenizer)
    publication = publish.Publication(
        output=output,
        name=arguments.name or os.path.basename(output),
        overwrite=arguments.overwrite,
        max_length=options.max_length,
        tokenizer=tokenizer.fingerprint,
        pad_id=tokenizer.pad_id,
        vocab_size=tokenizer.vocab_size,
        has_text=[split for split in SPLITS if split != "train" or options.keep_text],
        text_features=text_features,
        options=resolved,
        tokenizer_files=files_of_tokenizer,
        versions={name: importlib.metadata.version(name) for name in _VERSIONED},
    )
    started = time.monotonic()
    with publish.lock_staging(output):
        # Again: a corpus that an interrupted run had moved aside may be back.
        publish.check_output(output, overwrite=arguments.overwrite)
        _run(
            spec,
            parts,
            publication,
            choice,
            quiet=arguments.quiet,
            wait=not arguments.detach,
        )
    if not arguments.detach and not storage.exists(storage.join(output, COMPLETED)):
        raise UserError(
            f"{output}: the runner {choice.name} ended without an error and without {COMPLETED}; "
            "its own log must say why"
        )
    if arguments.detach:
        print(f"submitted; {output} is finished when it holds {COMPLETED}")
    elif not arguments.quiet:
        print(_summary(output, time.monotonic() - started))


def _run(
    spec: Any, parts: list[Any], publication: Any, choice: Any, *, quiet: bool, wait: bool
) -> None:
    import apache_beam as beam

    from rejoinder.pipelines.job import graph, runners
    from rejoinder.pipelines.job.progress import ProgressLine

    if choice.is_local:  # Beam logs each error's traceback before it raises it
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    pipeline = beam.Pipeline(runner=choice.create_runner(), options=choice.pipeline_options())
    graph.build(pipeline, spec, parts, publication)
    total = sum(part.length for part in parts)
    line: Any = contextlib.nullcontext()
    with runners.worker_errors_aside(choice) as terminal:
        if not quiet and choice.is_local:
            line = ProgressLine(spec.staging, total, spec.num_buckets, terminal)
        try:
            with line:
                result = pipeline.run()
                if wait:
                    result.wait_until_finish()
        except Exception as error:
            message = runners.user_message(error)
            if message is None:
                raise
            raise UserError(message) from error


def _empty_job(spec: Any, output: str) -> Any:
    """Returns a function that adds the job without input or tokenizer: only its shape counts."""
    from rejoinder.pipelines.job import graph
    from rejoinder.pipelines.publish import publish

    publication = publish.Publication(output, "", False, spec.max_length, "", 0, 0, [], [])
    return lambda pipeline: graph.build(pipeline, spec, [], publication)


def _plan(
    output: str, files: Sequence[Any], parts: Sequence[Any], options: dict[str, Any], choice: Any
) -> str:
    from rejoinder.pipelines.dumps import input_files
    from rejoinder.pipelines.job.progress import format_bytes, format_seconds

    text_bytes = input_files.text_bytes(files)
    seconds = text_bytes / _BYTES_PER_CORE_SECOND / choice.workers
    lines = [f"output   {output}", "inputs"]
    lines += [f"  {format_bytes(file.size):>10}  {file.path}" for file in files]
    lines += [
        f"  {format_bytes(sum(file.size for file in files)):>10}  in {len(files)} files, "
        f"about {format_bytes(text_bytes)} decompressed",
        "options",
        *(f"  {name:<24}{json.dumps(value)}" for name, value in sorted(options.items())),
        "plan",
        f"  runner                  {choice.name}, {choice.workers} worker(s) here",
        f"  reading                 {len(parts)} parts",
        f"  buckets                 {options['num_shards']}, one shard of each split from each, "
        f"about {format_bytes(text_bytes // options['num_shards'])} of text in a bucket",
        f"  estimated time          {format_seconds(seconds)} "
        f"({seconds * choice.workers / 3600:.2f} core-hours)",
        "nothing was read or written (--dry-run)",
    ]
    return "\n".join(lines)


def _summary(output: str, seconds: float) -> str:
    from rejoinder.pipelines.shards.reading import read_manifest

    manifest = read_manifest(output)
    total = sum(entry["lines"] for entry in manifest.inputs)
    lines = [f"{output}: {total:,} lines in {seconds:.1f} s"]
    for name, count in sorted(manifest.counters.items(), key=lambda item: -item[1]):
        if count:
            lines.append(f"  {name:<34}{count:>14,}")
    return "\n".join(lines)
