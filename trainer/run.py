"""Runs an experiment: configuration, strategy, orbit's controller, reports."""

import json
import math
import posixpath
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orbit
import tensorflow as tf
import tf_keras
from absl import logging
from official.core import exp_factory, train_lib, train_utils

from rejoinder.errors import UserError
from rejoinder.models.loading import write_encoder_folder
from rejoinder.models.model_dir import ENCODER_FOLDER, TRAINING_REPORT
from rejoinder.trainer import initialization, overrides, resume_check
from rejoinder.trainer.config import EXPERIMENT, DualEncoderExperiment
from rejoinder.trainer.data.corpora import open_corpora
from rejoinder.trainer.loop import Stopped, Trainer
from rejoinder.trainer.progress import Evaluations, Progress, duration, table
from rejoinder.trainer.schedule import complete_schedule
from rejoinder.trainer.stopping import EarlyStopping, StoppedEarly
from rejoinder.trainer.strategy import make_strategy
from rejoinder.trainer.task import DualEncoder

_LOWER_RATE = "lower the peak learning rate (trainer.optimizer_config.learning_rate)"


def read_config(
    experiment: str,
    files: Sequence[str],
    override: str,
    flags: Mapping[str, Any],
) -> DualEncoderExperiment:
    """Returns the resolved configuration.

    Args:
        experiment: Registered name.
        files: YAML files, later ones win.
        override: `--params_override`.
        flags: Values of dotted keys, given by flags of their own; they win over all.

    Raises:
        UserError: an unknown experiment, file, key or type.
    """
    if experiment != EXPERIMENT:
        raise UserError(f"--experiment: must be {EXPERIMENT}, got {experiment!r}")
    config = exp_factory.get_exp_config(experiment)
    for file in files:
        overrides.apply(config, overrides.load_file(file), file)
    if override:
        overrides.apply(config, overrides.load_override(override), "--params_override")
    for key, value in flags.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        config.override(nested)
    validation = config.task.validation_data
    if not validation.input_path:
        validation.input_path = config.task.train_data.input_path
        validation.data_config = config.task.train_data.data_config
    if config.trainer.train_steps < 1:
        raise UserError(
            f"trainer.train_steps: must be at least 1, got {config.trainer.train_steps}"
        )
    # Orbit wants summaries at multiples of the inner loop.
    config.trainer.summary_interval = config.trainer.steps_per_loop
    complete_schedule(config.trainer)
    return config


def run_experiment(
    config: DualEncoderExperiment, model_dir: str, mode: str, devices: int = 0
) -> int:
    """Trains or evaluates; returns the exit status.

    Raises:
        UserError: what the user can mend.
    """
    logging.set_verbosity(logging.ERROR)
    # Orbit prints every event; the progress lines say the same in one form.
    orbit.controller._log = logging.info
    strategy = make_strategy(
        config.runtime.distribution_strategy,
        tpu=config.runtime.tpu,
        num_gpus=config.runtime.num_gpus,
        devices=devices,
    )
    if config.trainer.deterministic:
        tf.config.experimental.enable_op_determinism()
    precision = config.runtime.mixed_precision_dtype or "float32"
    policies = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
    if precision not in policies:
        raise UserError(
            f"runtime.mixed_precision_dtype: must be float32 or bfloat16, got {precision!r}"
        )
    tf_keras.mixed_precision.set_global_policy(policies[precision])

    corpora = open_corpora(config.task.train_data, "task.train_data")
    base = initialization.find_base(config.task.model, corpora)
    training = "train" in mode
    resume_check.check_model(model_dir, config, base.config, training=training)
    if training:
        _write_model_dir(config, base, corpora, model_dir)
    elif tf.train.latest_checkpoint(model_dir) is None and mode == "eval":
        raise UserError(f"{model_dir}: holds no checkpoint to evaluate")

    with strategy.scope():
        optimizer_config = config.trainer.optimizer_config.optimizer.get()
        clip_norm = getattr(optimizer_config, "gradient_clip_norm", 0.0)
        task = DualEncoder(config.task, base, clip_norm)
        trainer = Trainer(
            config,
            task,
            train=training,
            evaluate="eval" in mode,
            checkpoint_exporter=train_utils.maybe_create_best_ckpt_exporter(config, model_dir)
            if "eval" in mode
            else None,
        )
    runner = train_lib.OrbitExperimentRunner(
        distribution_strategy=strategy,
        task=task,
        mode=mode,
        params=config,
        model_dir=model_dir,
        trainer=trainer,
        enable_async_checkpointing=config.trainer.async_checkpoints,
    )
    runner.controller.eval_actions += (Evaluations(trainer.global_step),)
    if config.trainer.early_stopping_patience:
        runner.controller.eval_actions += (
            EarlyStopping(
                config.trainer.best_checkpoint_eval_metric,
                config.trainer.best_checkpoint_metric_comp,
                config.trainer.early_stopping_patience,
            ),
        )
    if not training:
        runner.run()
        return 0
    return _train(runner, trainer, config, model_dir)


def _train(runner, trainer: Trainer, config: DualEncoderExperiment, model_dir: str) -> int:
    progress = Progress(trainer.global_step, config.trainer.train_steps)
    runner.controller.train_actions += (_check_finite(config), progress)
    _announce(trainer, config, model_dir)
    trials = config.trainer.recovery_max_trials
    if trials > 0 and not runner.checkpoint_manager.latest_checkpoint:
        runner.controller.save_checkpoint()  # what a blow-up in the first steps goes back to
    previous = {
        number: signal.signal(number, lambda n, _: setattr(trainer, "stop_signal", n))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    began = time.monotonic()
    try:
        runner.run()
    except Stopped as stopped:
        runner.controller.save_checkpoint()
        runner.checkpoint_manager.sync()
        step = int(trainer.global_step.numpy())
        print(
            f"\n{stopped}: saved {runner.checkpoint_manager.latest_checkpoint} at step {step}; "
            "the same command goes on from there",
            file=sys.stderr,
        )
        return 128 + stopped.signal_number
    except tf.errors.OpError as error:
        if "No space left" not in str(error):
            raise
        raise UserError(
            f"{model_dir}: the disk is full; free space and repeat the command, which goes on "
            f"from {runner.checkpoint_manager.latest_checkpoint}"
        ) from error
    except RuntimeError as error:  # Model Garden's, when recovery has not helped
        if not str(error).startswith("The loss value is"):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(f"{reason} {trials} recoveries did not help; {_LOWER_RATE}") from error
    except StoppedEarly as reason:
        runner.controller.save_checkpoint()
        print(f"stopped early: {reason}")
    finally:
        trainer.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    _report(trainer, progress, config, model_dir, time.monotonic() - began)
    return 0


def _check_finite(config: DualEncoderExperiment):
    def check(logs: dict[str, float]) -> None:
        if config.trainer.recovery_max_trials < 0 and not math.isfinite(logs["training_loss"]):
            raise UserError(
                f"the loss is {logs['training_loss']}; {_LOWER_RATE}, or set "
                "trainer.recovery_max_trials to go back to the last checkpoint instead"
            )

    return check


def _write_model_dir(config, base, corpora, model_dir: str) -> None:
    tf.io.gfile.makedirs(model_dir)
    resume_check.check(model_dir, config, corpora)
    train_utils.serialize_config(config, model_dir)
    write_encoder_folder(
        posixpath.join(model_dir, ENCODER_FOLDER),
        config=base.config,
        tokenizer_folder=base.tokenizer_folder,
        max_length=config.task.model.max_length,
    )


def _announce(trainer: Trainer, config: DualEncoderExperiment, model_dir: str) -> None:
    data = trainer.train_input
    assert data is not None
    parameters = sum(math.prod(v.shape) for v in trainer.model.trainable_variables)
    step = int(trainer.global_step.numpy())
    epochs = config.trainer.train_steps * config.task.train_data.global_batch_size / data.examples
    rows = [
        ("data sets", ", ".join(data.names) if len(data.names) < 6 else f"{len(data.names)}"),
        ("pairs", f"{data.examples:,} ({epochs:.2f} epochs)"),
        ("parameters", f"{parameters:,}"),
        ("replicas", f"{trainer.strategy.num_replicas_in_sync}"),
        ("batch", f"{config.task.train_data.global_batch_size} pairs"),
        (
            "steps",
            f"{step} of {config.trainer.train_steps} done"
            if step
            else f"{config.trainer.train_steps}",
        ),
    ]
    print(table(rows, f"training {model_dir}"), flush=True)


def _report(
    trainer: Trainer, progress: Progress, config: DualEncoderExperiment, model_dir: str, seconds
) -> None:
    total, data = trainer.total, trainer.train_input
    assert data is not None
    report = {
        "command": shlex.join(["python", "-m", "rejoinder", "train", *sys.argv[1:]]),
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
        "parameters": sum(math.prod(v.shape) for v in trainer.model.trainable_variables),
        "batch_size": config.task.train_data.global_batch_size,
        "replicas": trainer.strategy.num_replicas_in_sync,
        "precision": config.runtime.mixed_precision_dtype or "float32",
        "data_sets": dict(zip(data.names, data.weights, strict=True)),
    }
    path = posixpath.join(model_dir, TRAINING_REPORT)
    if not total.steps:
        print(f"{model_dir}: already trained to step {report['steps']}; nothing to do")
        if tf.io.gfile.exists(path):
            return
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(report, indent=2, sort_keys=True) + "\n")
    if not total.steps:  # killed between its last checkpoint and its report
        return
    rows = [
        ("steps", f"{report['steps']:,} ({total.steps:,} in this run, {duration(seconds)})"),
        ("loss", f"{progress.first_loss:.4f} -> {progress.last_loss:.4f}"),
        ("pairs", f"{total.pairs:,} at {report['pairs_per_second']:,.0f}/s"),
        ("tokens", f"{report['tokens_per_second']:,.0f}/s, {report['real_tokens']:.1%} real"),
        ("checkpoint", str(tf.train.latest_checkpoint(model_dir))),
        ("report", path),
        ("curves", f"tensorboard --logdir {model_dir}"),
        ("next", f"make evaluate MODEL={model_dir} DATA={config.task.validation_data.input_path}"),
        ("then", f"make export MODEL={model_dir}"),
    ]
    print(table(rows, "trained"), flush=True)
