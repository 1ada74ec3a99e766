"""Runs a planned job: lock, pipeline, publication, summary."""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import TextIO

import apache_beam as beam

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.manifest import load_manifest
from rejoinder.corpus.naming import COMPLETED
from rejoinder.errors import UserError
from rejoinder.models.tokenizer.spec import parse_spec
from rejoinder.output import check_output, check_replaceable
from rejoinder.pipelines.growth import extend
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.job import (
    execution,
    graph,
    resume,
    runners,
    summary,
    tokenizer_files,
)
from rejoinder.pipelines.job.arguments import JobArguments
from rejoinder.pipelines.job.engines import placement, prism
from rejoinder.pipelines.job.extractor import Extractor
from rejoinder.pipelines.job.plan import JobOptions, Plan, describe, plan_job
from rejoinder.pipelines.job.progress import ProgressLine
from rejoinder.pipelines.publish.publish import Publication
from rejoinder.staging import lock_staging
from rejoinder.versions import installed_version

# Packages whose code makes the bytes of a corpus.
_PACKAGES = ("corpus", "models/tokenizer", "pipelines")
# Software whose version may change the bytes of a corpus.
_VERSIONED = ("rejoinder", "apache-beam", "polars", "pyarrow", "tensorflow", "tensorflow-text")


def make_corpus(
    arguments: JobArguments,
    runner: runners.RunnerChoice,
    files: Sequence[storage.FileEntry],
    *,
    extractor: Extractor,
    options: JobOptions,
    text_features: Sequence[str],
    growth: GrowthSpec | None = None,
) -> None:
    """Plans a job and runs it, or prints the plan with `--dry-run`.

    Args:
        arguments: The shared options of the command line.
        runner: The runner and its options.
        files: The input files.
        extractor: Reads lines and makes pairs.
        options: The extractor's options.
        text_features: Names of the features beside the token ids.
        growth: What is known of a corpus that can grow; None for any other.

    Raises:
        UserError: An option, an input, the tokenizer, the output or the runner is unusable.
    """
    plan = plan_job(arguments, files, runner, extractor, options, text_features, growth)
    _check_placement(plan, arguments)
    read = [("--input", file.path) for file in files]
    if growth and growth.corpus:
        extend.check_inputs(growth.corpus, files)
    else:
        read.append(("--tokenizer", arguments.tokenizer))
    check_output(arguments.output, CORPUS, overwrite=plan.overwrite, inputs=read)
    if arguments.dry_run:
        _print_plan(plan)
        return
    if arguments.detach and runner.is_local:
        raise UserError("--detach: needs the runner of a cluster; give --runner")
    prism.check_size(runner, plan.files, plan.spec)
    tokenizer = tokenizer_files.read_files(arguments.tokenizer)
    _run(plan, tokenizer, arguments)


def _check_placement(plan: Plan, arguments: JobArguments) -> None:
    """Checks that the workers can reach all paths, and warns of workers without this package."""
    paths = [("--input", file.path) for file in plan.files] + [("--output", plan.output)]
    if os.path.exists(arguments.tokenizer):  # otherwise it is a bucket's, or a name of the hub
        paths.append(("--tokenizer", arguments.tokenizer))
    placement.check_paths(plan.runner, paths)
    if warning := placement.image_warning(plan.runner):
        print(warning, file=sys.stderr)


def _print_plan(plan: Plan) -> None:
    print(describe(plan))
    if plan.runner.name == "DataflowRunner":
        steps = execution.dataflow_steps(plan.runner, lambda pipeline: build_empty(plan, pipeline))
        print(f"  Dataflow graph          {len(steps)} steps: {', '.join(steps)}")
    print("nothing was read or written (--dry-run)")


def build_empty(plan: Plan, pipeline: beam.Pipeline) -> None:
    """Adds the job without input or tokenizer: the graph has the same steps."""
    publication = Publication(plan.output, "", False, plan.spec.max_length, "", 0, 0, [], [])
    graph.build(pipeline, plan.spec, [], publication)


def _run(plan: Plan, tokenizer: tokenizer_files.TokenizerFiles, arguments: JobArguments) -> None:
    detach, quiet = arguments.detach, arguments.quiet
    publication = _publication(plan, tokenizer)

    def progress_line(stream: TextIO) -> AbstractContextManager[object]:
        return ProgressLine(plan.spec.staging, plan.input_bytes, plan.spec.num_buckets, stream)

    started = time.monotonic()
    with _staging(plan, publication, arguments):
        # Again, because `lock_staging` restores a corpus that an interrupted run had moved.
        check_replaceable(plan.output, CORPUS, overwrite=plan.overwrite)
        execution.run_pipeline(
            plan.runner,
            lambda pipeline: graph.build(pipeline, plan.spec, plan.parts, publication),
            wait=not detach,
            # The workers of an engine write no progress to a bucket.
            progress=progress_line if storage.is_local(plan.spec.staging) else None,
            quiet=quiet,
        )
    if detach:
        print(summary.summarize_submission(plan.output, COMPLETED))
        return
    if not storage.exists(storage.join(plan.output, COMPLETED)):
        raise UserError(
            f"{plan.output}: {plan.runner.name} ended without an error, but {COMPLETED} is "
            "missing; see the runner's log"
        )
    if not quiet:
        seconds = time.monotonic() - started
        report = json.loads(storage.read_bytes(storage.join(plan.output, "report.json")))
        manifest = load_manifest(plan.output)
        print(summary.summarize(manifest, plan.output, seconds, report["warnings"]))


def _staging(
    plan: Plan, publication: Publication, arguments: JobArguments
) -> AbstractContextManager[object]:
    """Returns the context in which the staging folder is locked."""
    if not plan.spec.on_disk:
        return lock_staging(plan.output)

    def tell(line: str) -> None:
        if not arguments.quiet:
            print(line, file=sys.stderr)

    identity = run_identity(plan, publication)
    return resume.continued(plan.output, identity, restart=arguments.restart, tell=tell)


def run_identity(plan: Plan, publication: Publication) -> resume.Identity:
    """Returns what the bytes of the corpus, and the division of the work, depend on."""
    spec = {field.name: repr(getattr(plan.spec, field.name)) for field in fields(plan.spec)}
    for name in ("extractor", "staging", "max_bad_ratio"):
        del spec[name]  # the extractor is its options; the ratio only decides about an error
    return {
        "inputs": [[file.path, storage.version(file.path)] for file in plan.files],
        "--workers": [[part.path, part.begin, part.end] for part in plan.parts],
        "tokenizer": [
            [name, checksums.sha256(content)] for name, content in publication.tokenizer_files
        ],
        "software": [publication.versions, resume.code_digest(_PACKAGES)],
        "source": type(plan.spec.extractor).__name__,
        **spec,
        **plan.options,
    }


def _publication(plan: Plan, files: tokenizer_files.TokenizerFiles) -> Publication:
    tokenizer = parse_spec(dict(files), "--tokenizer")
    return Publication(
        output=plan.output,
        name=plan.name,
        overwrite=plan.overwrite,
        max_length=plan.spec.max_length,
        tokenizer="",  # the last step computes it: this process needs no TensorFlow
        pad_id=tokenizer.pad_id,
        vocab_size=len(tokenizer.tokens),
        has_text=list(plan.has_text),
        text_features=list(plan.text_features),
        options=dict(plan.options),
        tokenizer_files=files,
        versions={name: installed_version(name) or "source" for name in _VERSIONED},
        keep_months=plan.spec.growth.keep_months if plan.spec.growth else 0,
        extends=plan.spec.growth.corpus if plan.spec.growth else "",
    )
