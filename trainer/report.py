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
from rejoinder.trainer import data_sets
from rejoinder.trainer.best import BestModel
from rejoinder.trainer.distribution.devices import device_names
from rejoinder.trainer.history import History
from rejoinder.trainer.loop import Trainer
from rejoinder.trainer.progress import Progress
from rejoinder.trainer.run import Run
from rejoinder.trainer.throughput import Throughput
from rejoinder.trainer.warnings import find_warnings
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
        ("devices", device_names(trainer.strategy, run.hosts.count)),
        ("replicas", trainer.strategy.num_replicas_in_sync),
        *([("hosts", ", ".join(map(str, run.hosts.members)))] if run.hosts.members else []),
        ("batch", f"{config.task.train_data.global_batch_size} pairs"),
        ("steps", steps),
    ]
    print(list_table(rows, f"training {run.model_dir}"), flush=True)
    _print_warnings(run)


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


def write(
    run: Run, trainer: Trainer, progress: Progress, history: History, seconds: float
) -> dict[str, Any]:
    """Writes `training.json` and returns its content.

    Args:
        run: The run.
        trainer: Its trainer.
        progress: The losses of this process.
        history: What earlier processes trained.
        seconds: Wall time of training in this process.
    """
    values = training_report(run, trainer, progress, history, seconds)
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    storage.replace_bytes(_report_path(run), text.encode())
    return values


def finish(
    run: Run, trainer: Trainer, progress: Progress, history: History, seconds: float
) -> None:
    """Writes `training.json` and prints the final table.

    A run that was killed after its last checkpoint gets its report from the next one, which
    has no steps of its own.

    Args:
        run: The run.
        trainer: Its trainer after the last step.
        progress: The losses of this process.
        history: What earlier processes trained.
        seconds: Wall time of training in this process.
    """
    values = write(run, trainer, progress, history, seconds)
    if trainer.total.steps:
        files = [*_file_rows(run), *_best_rows(trainer.checkpoint_exporter)]
        rows = [*_training_rows(values, seconds), *files, *_next_rows(run)]
        print(list_table(rows, "trained"), flush=True)
    else:
        print_finished(run, values["steps"], evaluated=trainer.evaluated_step is not None)


def print_finished(run: Run, step: int, *, evaluated: bool = False) -> None:
    """Prints that a run had nothing left to train.

    Args:
        run: The run.
        step: Its last step.
        evaluated: Whether this process evaluated that step.
    """
    done = "evaluated it" if evaluated else "nothing to do"
    title = f"{run.model_dir}: already trained to step {step}; {done}"
    print(list_table(_next_rows(run), title), flush=True)


def print_evaluated(run: Run) -> None:
    """Prints the end of a run that only evaluated."""
    folder = storage.join(run.model_dir, run.config.trainer.validation_summary_subdir)
    rows: list[tuple[str, object]] = [("curves", f"tensorboard --logdir {folder}")]
    print(list_table([*rows, *_next_rows(run)], "evaluated"), flush=True)
    _print_warnings(run)


def _print_warnings(run: Run) -> None:
    for warning in find_warnings(run):
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def training_report(
    run: Run, trainer: Trainer, progress: Progress, history: History, seconds: float
) -> dict[str, Any]:
    """Returns the content of `training.json`, which covers all processes of the run."""
    data, total = trainer.train_input, Throughput()
    assert data is not None
    total.add(history.total)
    total.add(trainer.total)
    fresh = progress.last_loss is None
    return {
        "command": shlex.join(["rejoinder", "train", *_arguments()]),
        "steps": int(trainer.global_step.numpy()),
        # Fewer than `steps` if a process was killed between a checkpoint and its report,
        # more if steps were repeated after a recovery.
        "steps_counted": total.steps,
        "steps_this_run": trainer.total.steps,
        **_evaluated(run, trainer, history),
        "pairs": data.examples,
        "pairs_trained": total.pairs,
        "first_loss": _first(history.first_loss, progress.first_loss),
        "last_loss": history.last_loss if fresh else progress.last_loss,
        "accuracy_in_batch": history.accuracy if fresh else progress.last_logs.get("accuracy"),
        "pairs_per_second": total.pairs / total.seconds if total.seconds else None,
        "tokens_per_second": total.tokens / total.seconds if total.seconds else None,
        "real_tokens": total.tokens / total.capacity if total.capacity else None,
        "tokens": total.tokens,
        "token_positions": total.capacity,
        "cut_tokens": total.cut,
        "training_seconds": total.seconds,
        "seconds": history.seconds + seconds,
        "parameters": _parameters(trainer),
        "batch_size": run.config.task.train_data.global_batch_size,
        "replicas": trainer.strategy.num_replicas_in_sync,
        "precision": run.precision,
        "data_sets": dict(zip(data.names, data.weights, strict=True)),
        "by_data_set": data_sets.figures(
            data.names,
            data.weights,
            total.drawn,
            first=[history.first_losses, progress.first_losses],
            last=[progress.last_losses, history.last_losses],
        ),
    }


def _evaluated(run: Run, trainer: Trainer, history: History) -> dict[str, int | None]:
    """Returns the step of the last complete evaluation, if the run evaluates."""
    step = trainer.evaluated_step
    return {"evaluated_step": history.evaluated if step is None else step} if run.evaluates else {}


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _report_path(run: Run) -> str:
    return storage.join(run.model_dir, TRAINING_REPORT)


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
        *data_sets.table_rows(values["by_data_set"]),
    ]


def _file_rows(run: Run) -> list[tuple[str, object]]:
    return [
        ("checkpoint", tf.train.latest_checkpoint(run.model_dir)),
        ("report", _report_path(run)),
        ("curves", f"tensorboard --logdir {run.model_dir}"),
    ]


def _best_rows(best: BestModel | None) -> list[tuple[str, object]]:
    if best is None or best.value is None:
        return []
    return [("best", f"{best.folder} ({best.metric} {best.value:.4f} at step {best.step:,})")]


def _next_rows(run: Run) -> list[tuple[str, object]]:
    corpus = run.config.task.validation_data.input_path
    if run.config.task.validation_data.data_config:
        corpus = "CORPUS"  # `rejoinder evaluate` takes one corpus of the mixture
    return [
        ("next", f"rejoinder evaluate --model {run.model_dir} --corpus {corpus}"),
        ("then", f"rejoinder export --model {run.model_dir} --output FOLDER"),
    ]
