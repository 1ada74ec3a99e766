"""Executes a run with Model Garden's runner and orbit's controller."""

import contextlib
import dataclasses
import math
import signal
import sys
import time
from collections.abc import Callable

import orbit
import tensorflow as tf
import tf_keras
from absl import logging

from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint
from rejoinder.trainer import report
from rejoinder.trainer.agreement import check_agreement
from rejoinder.trainer.best import BestModel
from rejoinder.trainer.checkpoints import Runner
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.distribution.hosts import Hosts
from rejoinder.trainer.distribution.peers import watch_peers
from rejoinder.trainer.distribution.strategy import make_strategy
from rejoinder.trainer.evaluation_steps import train_and_evaluate
from rejoinder.trainer.finished import is_finished
from rejoinder.trainer.history import read_history
from rejoinder.trainer.lock import check_unlocked, hold_lock
from rejoinder.trainer.loop import Stopped, Trainer
from rejoinder.trainer.model_folder import write_model_folder
from rejoinder.trainer.progress import Evaluations, Progress
from rejoinder.trainer.run import Run, open_run
from rejoinder.trainer.scores import Evaluation, Scorer, check_metric
from rejoinder.trainer.stopping import EarlyStopping, StoppedEarly
from rejoinder.trainer.task import DualEncoderTask
from rejoinder.trainer.write_errors import explain_write_errors

_LOWER_RATE = "lower the peak learning rate (trainer.optimizer_config.learning_rate)"


def run_experiment(
    config: ExperimentConfig,
    model_dir: str,
    mode: str,
    devices: int = 0,
    evaluation: Evaluation | None = None,
) -> int:
    """Trains or evaluates as configured.

    Args:
        config: The resolved configuration.
        model_dir: Folder of checkpoints, summaries and reports.
        mode: `train`, `eval`, `train_and_eval` or `continuous_eval`.
        devices: Logical CPU devices of the strategy `mirrored`.
        evaluation: Scores that are computed with each validation.

    Returns:
        The exit status of the command.

    Raises:
        UserError: The run cannot start, or failed for a reason that the user can fix.
    """
    strategy = make_strategy(
        config.runtime.distribution_strategy,
        tpu=config.runtime.tpu,
        num_gpus=config.runtime.num_gpus,
        devices=devices,
    )
    if config.trainer.deterministic:
        tf.config.experimental.enable_op_determinism()
    hosts = Hosts.of(strategy)
    with watch_peers(hosts, model_dir):
        if "train" in mode and hosts.is_chief:
            check_unlocked(model_dir)
        return execute(open_run(config, model_dir, mode=mode, strategy=strategy), evaluation)


def execute(run: Run, evaluation: Evaluation | None = None) -> int:
    """Executes a checked run and returns the exit status; the chief writes to MODEL_DIR.

    Raises:
        UserError: See `run_experiment`.
    """
    if run.evaluates:
        check_metric(run, evaluation)
    logging.set_verbosity(logging.ERROR)
    # Orbit prints every event; `Progress` and `Evaluations` print the same values.
    orbit.controller._log = logging.info
    tf_keras.mixed_precision.set_global_policy(run.dtype_policy)
    check_agreement(run)
    with run.strategy.scope():
        trainer = Trainer(run, DualEncoderTask(run))
        if run.trains and latest_checkpoint(run.model_dir) is None:
            trainer.initialize()  # missing or unfit weights are an error before the first write
    if run.evaluates and evaluation is not None:
        trainer.scorer = Scorer(run, evaluation)
    # A mode that only evaluates the latest checkpoint writes nothing that a training reads.
    subdir = run.config.trainer.best_checkpoint_export_subdir
    if run.evaluates and run.mode != "eval" and run.hosts.is_chief and subdir:
        trainer.checkpoint_exporter = BestModel(run, trainer.model)
    eval_actions: list[orbit.Action] = list(_early_stopping(run, trainer.checkpoint_exporter))
    if run.hosts.is_chief:
        eval_actions.insert(0, Evaluations(trainer.global_step))
    runner = Runner(
        run.hosts,
        distribution_strategy=run.strategy,
        task=trainer.task,
        mode=run.mode,
        params=run.config,
        model_dir=run.model_dir,
        trainer=trainer,
        enable_async_checkpointing=run.config.trainer.async_checkpoints,
    )
    # In place of Model Garden's action, which writes the average as a second checkpoint.
    runner.controller.eval_actions = tuple(eval_actions)
    if not run.trains:
        with explain_write_errors(run.model_dir):
            runner.run()
        if run.hosts.is_chief:
            report.print_evaluated(run)
        return 0
    step = int(trainer.global_step.numpy())
    # The chief decides: another host may read the report that the chief writes after this.
    if run.hosts.gather(int(is_finished(run, step)))[0]:
        if run.hosts.is_chief:
            report.print_finished(run, step)
        return 0
    # All checks have passed, and nothing is written before.
    with hold_lock(run.model_dir) if run.hosts.is_chief else contextlib.nullcontext():
        if run.hosts.is_chief:
            _check_latest(runner, run)
            write_model_folder(run)
        with explain_write_errors(run.model_dir):
            return _train(runner, trainer, run)


def _check_latest(runner: Runner, run: Run) -> None:
    """Checks that no other training wrote a checkpoint before this one had the lock."""
    if latest_checkpoint(run.model_dir) != runner.checkpoint_manager.latest_checkpoint:
        raise UserError(
            f"{run.model_dir}: another training wrote a checkpoint while this one started; run "
            "the same command again"
        )


def _train(runner: Runner, trainer: Trainer, run: Run) -> int:
    config = run.config.trainer
    progress = Progress(trainer.global_step, config.train_steps)
    runner.controller.train_actions += (_check_finite(config.recovery_max_trials),)
    if run.hosts.is_chief:
        runner.controller.train_actions += (progress,)
        report.print_start(run, trainer)
    else:
        report.print_joined(run, trainer)
    if config.recovery_max_trials > 0 and not runner.checkpoint_manager.latest_checkpoint:
        runner.controller.save_checkpoint()  # the one to recover from in the first steps
    previous = {
        number: signal.signal(number, lambda n, _: setattr(trainer, "stop_signal", n))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    began = time.monotonic()
    history = read_history(run.model_dir, int(trainer.global_step.numpy()))
    best = trainer.checkpoint_exporter
    if best and best.step is not None:  # it is saved before the report names its step
        history = dataclasses.replace(history, evaluated=max(best.step, history.evaluated or 0))
    runner.checkpoint_manager.after_save = lambda: report.write(
        run, trainer, progress, history, time.monotonic() - began
    )
    try:
        if run.evaluates:
            with run.strategy.scope():
                train_and_evaluate(
                    runner.controller, config, run.hosts, evaluated=best.step if best else None
                )
        else:
            runner.run()
    except Stopped as stopped:
        runner.controller.save_checkpoint()
        runner.checkpoint_manager.sync()
        step = int(trainer.global_step.numpy())
        print(
            f"\n{stopped}: saved {runner.checkpoint_manager.latest_checkpoint} at step {step}; "
            f"run the same command again{' on all hosts' if run.hosts.members else ''} to continue",
            file=sys.stderr,
        )
        return 128 + stopped.signal_number
    except RuntimeError as error:  # raised by Model Garden when recovery has not helped
        if not str(error).startswith("The loss value is"):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{reason} {config.recovery_max_trials} recoveries did not help; {_LOWER_RATE}"
        ) from error
    except StoppedEarly as reason:
        runner.controller.save_checkpoint()
        print(f"stopped early: {reason}")
    finally:
        trainer.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    if run.hosts.is_chief:
        report.finish(run, trainer, progress, history, time.monotonic() - began)
    run.hosts.barrier()  # the other hosts report what the chief has written
    if not run.hosts.is_chief:
        report.print_left(run, trainer)
    return 0


def _early_stopping(run: Run, best: BestModel | None) -> list[EarlyStopping]:
    config = run.config.trainer
    if not config.early_stopping_patience:
        return []
    return [
        EarlyStopping(
            config.best_checkpoint_eval_metric,
            config.best_checkpoint_metric_comp,
            config.early_stopping_patience,
            run.hosts,
            best=best.value if best else None,
        )
    ]


def _check_finite(recovery_max_trials: int) -> Callable[[dict[str, float]], None]:
    def check(logs: dict[str, float]) -> None:
        if recovery_max_trials < 0 and not math.isfinite(logs["training_loss"]):
            raise UserError(
                f"the loss is {logs['training_loss']}; {_LOWER_RATE}, or set "
                "trainer.recovery_max_trials to return to the last checkpoint instead"
            )

    return check
