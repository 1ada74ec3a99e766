"""What a training run prints at its start and end, and its report `training.json`."""

import json
import math
import shlex
import sys
from typing import Any

import tensorflow as tf

from rejoinder import storage
from rejoinder.models.model_dir import TRAINING_REPORT
from rejoinder.tables import list_table
from rejoinder.trainer.loop import Trainer
from rejoinder.trainer.progress import Progress
from rejoinder.trainer.run import Run
from rejoinder.units import format_duration

_NAMED_DATA_SETS = 5  # more are counted, not named


def print_start(run: Run, trainer: Trainer) -> None:
    """Prints data, size and steps of a run."""
    data, config = trainer.train_input, run.config
    assert data is not None
    step = int(trainer.global_step.numpy())
    epochs = config.trainer.train_steps * config.task.train_data.global_batch_size / data.examples
    few = len(data.names) <= _NAMED_DATA_SETS
    steps = f"{step} of {config.trainer.train_steps} done" if step else config.trainer.train_steps
    rows: list[tuple[str, object]] = [
        ("data sets", ", ".join(data.names) if few else len(data.names)),
        ("pairs", f"{data.examples:,} ({epochs:.2f} epochs)"),
        ("parameters", f"{_parameters(trainer):,}"),
        ("replicas", trainer.strategy.num_replicas_in_sync),
        *([("hosts", ", ".join(map(str, run.hosts.members)))] if run.hosts.members else []),
        ("batch", f"{config.task.train_data.global_batch_size} pairs"),
        ("steps", steps),
    ]
    print(list_table(rows, f"training {run.model_dir}"), flush=True)


def print_joined(run: Run, trainer: Trainer) -> None:
    """Prints the start of a run on a host that is not the chief."""
    hosts, step = run.hosts, int(trainer.global_step.numpy())
    print(
        f"{hosts.this}: training {run.model_dir} from step {step} with {hosts.count} hosts; "
        f"{hosts.chief} reports and writes",
        flush=True,
    )


def print_left(run: Run, trainer: Trainer) -> None:
    """Prints the end of a run on a host that is not the chief."""
    step = int(trainer.global_step.numpy())
    print(f"{run.hosts.this}: trained to step {step}; {run.hosts.chief} wrote {run.model_dir}")


def finish(run: Run, trainer: Trainer, progress: Progress, seconds: float) -> None:
    """Writes `training.json` and prints the final table.

    A run that had nothing left to train keeps the report of the run before it. Only if
    there is none, because that run was killed after its last checkpoint, one is written.

    Args:
        run: The run.
        trainer: Its trainer after the last step.
        progress: The losses of this process.
        seconds: Wall time of training.
    """
    path = storage.join(run.model_dir, TRAINING_REPORT)
    values = training_report(run, trainer, progress, seconds)
    if trainer.total.steps or not storage.exists(path):
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        storage.write_bytes(path, text.encode())
    if trainer.total.steps:
        rows = [*_training_rows(values, seconds), *_file_rows(run, path), *_next_rows(run)]
        print(list_table(rows, "trained"), flush=True)
    else:
        title = f"{run.model_dir}: already trained to step {values['steps']}; nothing to do"
        print(list_table(_next_rows(run), title), flush=True)


def print_evaluated(run: Run) -> None:
    """Prints the end of a run that only evaluated."""
    folder = storage.join(run.model_dir, run.config.trainer.validation_summary_subdir)
    rows: list[tuple[str, object]] = [("curves", f"tensorboard --logdir {folder}")]
    print(list_table([*rows, *_next_rows(run)], "evaluated"), flush=True)


def training_report(
    run: Run, trainer: Trainer, progress: Progress, seconds: float
) -> dict[str, Any]:
    """Returns the content of `training.json`."""
    total, data = trainer.total, trainer.train_input
    assert data is not None
    return {
        "command": shlex.join(["rejoinder", "train", *_arguments()]),
        "steps": int(trainer.global_step.numpy()),
        "steps_this_run": total.steps,
        "pairs": data.examples,
        "pairs_trained": total.pairs,
        "first_loss": progress.first_loss,
        "last_loss": progress.last_loss,
        "accuracy_in_batch": progress.last_logs.get("accuracy"),
        "pairs_per_second": total.pairs / total.seconds if total.seconds else None,
        "tokens_per_second": total.tokens / total.seconds if total.seconds else None,
        "real_tokens": total.tokens / total.capacity if total.capacity else None,
        "cut_tokens": total.cut,
        "seconds": seconds,
        "parameters": _parameters(trainer),
        "batch_size": run.config.task.train_data.global_batch_size,
        "replicas": trainer.strategy.num_replicas_in_sync,
        "precision": run.precision,
        "data_sets": dict(zip(data.names, data.weights, strict=True)),
    }


def _arguments() -> list[str]:
    """Returns the arguments of `rejoinder train` on this process's command line."""
    return sys.argv[2:] if sys.argv[1:2] == ["train"] else sys.argv[1:]


def _parameters(trainer: Trainer) -> int:
    return sum(math.prod(variable.shape) for variable in trainer.model.trainable_variables)


def _training_rows(values: dict[str, Any], seconds: float) -> list[tuple[str, object]]:
    steps = f"{values['steps']:,} ({values['steps_this_run']:,} in this run, "
    return [
        ("steps", f"{steps}{format_duration(seconds)})"),
        ("loss", f"{values['first_loss']:.4f} -> {values['last_loss']:.4f}"),
        ("pairs", f"{values['pairs_trained']:,} at {values['pairs_per_second']:,.0f}/s"),
        ("tokens", f"{values['tokens_per_second']:,.0f}/s, {values['real_tokens']:.1%} real"),
    ]


def _file_rows(run: Run, report: str) -> list[tuple[str, object]]:
    return [
        ("checkpoint", tf.train.latest_checkpoint(run.model_dir)),
        ("report", report),
        ("curves", f"tensorboard --logdir {run.model_dir}"),
    ]


def _next_rows(run: Run) -> list[tuple[str, object]]:
    corpus = run.config.task.validation_data.input_path
    if run.config.task.validation_data.data_config:
        corpus = "CORPUS"  # `rejoinder evaluate` takes one corpus of the mixture
    return [
        ("next", f"rejoinder evaluate --model {run.model_dir} --corpus {corpus}"),
        ("then", f"rejoinder export --model {run.model_dir} --output FOLDER"),
    ]
