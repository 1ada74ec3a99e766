"""`rejoinder train --dry-run --tpu-topology NAME`: the step on a TPU that is not here."""

import sys
from importlib import metadata

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.tables import list_table
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.data.corpora import open_corpora
from rejoinder.trainer.initialization import BaseModel
from rejoinder.trainer.run import Run, check_precision
from rejoinder.trainer.tpu_compile.batch import make_features
from rejoinder.trainer.tpu_compile.chips import find_chip
from rejoinder.trainer.tpu_compile.encoder_sizes import find_sizes
from rejoinder.trainer.tpu_compile.environment import Compiled, compile_step, find_compiler
from rejoinder.trainer.tpu_compile.lowering import lower_step
from rejoinder.trainer.tpu_compile.memory import describe_shortage
from rejoinder.trainer.tpu_compile.report import describe_compiled, list_assumptions


def describe_on_tpu(config: ExperimentConfig, name: str) -> tuple[str, bool]:
    """Compiles the step of a configuration for a TPU and describes the result.

    Args:
        config: The resolved configuration; without `task.train_data.input_path` the lengths
            of sentences are assumed.
        name: Name of a slice in `chips.CHIPS`.

    Returns:
        The report, and whether the step fits into the memory of a device.

    Raises:
        UserError: There is no such slice, the compiler's environment was not made, this
            TensorFlow cannot lower the step, or the configuration is not valid.
    """
    if _is_installed("tensorflow-tpu"):
        raise UserError(
            "--tpu-topology: tensorflow-tpu cannot lower the step, because it has no XLA for the "
            "host; run the command on a machine with `make setup DEVICE=cpu`"
        )
    chip, python = find_chip(name), find_compiler()
    train = config.task.train_data
    corpora = open_corpora(train, "task.train_data") if train.input_path else []
    sizes, about_sizes = find_sizes(config.task.model, corpora)
    run = Run(
        config, "", "train", tf.distribute.get_strategy(), BaseModel(sizes, ""), tuple(corpora), ()
    )
    check_precision(run)
    features, about_data = make_features(config.task, sizes, corpora, chip.devices)
    rows, width = features["token_ids"].shape
    print(f"compiling the step for {name} (minutes, unless it is known already)", file=sys.stderr)
    step = lower_step(run, features, chip.devices)
    compiled = compile_step(step, chip, python)
    program = [
        ("slice", f"{chip.chips} chips, {chip.devices} devices ({compiled.figures['device']})"),
        ("compiler", _compiler(compiled)),
        (
            "batch",
            f"{train.global_batch_size // chip.devices} pairs in {rows} rows of {width} tokens "
            f"on each of {chip.devices} replicas, {train.layout}, {run.precision}",
        ),
    ]
    head = list_table(program, f"dry run for {name}: nothing was written")
    if "error" in compiled.figures:
        shortage = describe_shortage(compiled.figures, step.state_bytes, config, rows)
        assumed = list_assumptions(about_sizes + about_data) if about_sizes + about_data else ""
        return f"{head}\n\n{shortage}\n\n{assumed}".rstrip(), False
    report = describe_compiled(compiled, name, chip, config, about_sizes + about_data)
    return f"{head}\n\n{report}", True


def _compiler(compiled: Compiled) -> str:
    figures = compiled.figures
    when = "known already" if compiled.cached else f"{figures['seconds']:.0f} s"
    return f"libtpu {figures['libtpu']}, called by jax {figures['jax']} ({when})"


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
