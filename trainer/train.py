"""Trains the dual encoder: `rejoinder train --config … --corpus … --model-dir …`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder import hardware
from rejoinder.errors import UserError
from rejoinder.trainer.distribution import pjrt

if TYPE_CHECKING:
    from rejoinder.trainer.config import EvaluationOptions
    from rejoinder.trainer.scores import Evaluation

MODES = ("train", "eval", "train_and_eval", "continuous_eval")
# Model Garden's spellings, which stay accepted.
_MODEL_GARDEN = {
    "--config_file": "--config",
    "--model_dir": "--model-dir",
    "--params_override": "--params-override",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Trains or evaluates as the command line says; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(canonical(sys.argv[1:] if argv is None else argv))
    if arguments.tpu == "":  # an unset variable in a script would train on the CPU
        raise UserError("--tpu: is empty; give local, a TPU's name or grpc://address:8470")
    if arguments.tpu_topology is not None and not arguments.dry_run:
        raise UserError("--tpu-topology: needs --dry-run; to train on a TPU give --tpu")
    if arguments.model_dir is None and arguments.tpu_topology is None:
        parser.error("the following arguments are required: --model-dir")
    # With several hosts, TensorFlow logs every collective operation that a lost host ends.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if "TF_CONFIG" in os.environ else "2")
    if arguments.tpu == "local":
        pjrt.set_environment(os.environ, hardware.find_hardware())
    else:
        hardware.leave_tpu_alone(os.environ)
    if arguments.tpu_topology is not None:
        # TensorFlow would compute the counters of all dropout masks, gigabytes, as constants.
        given = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{given} --tf_xla_disable_constant_folding=true".strip()
    # TensorFlow takes seconds to import, so a wrong command line fails before.
    from rejoinder.trainer.experiment import run_experiment
    from rejoinder.trainer.settings.resolve import read_config

    flags = {
        "task.train_data.input_path": arguments.corpus,
        "task.model.init_from": arguments.init_from,
        "task.train_data.allow_new_data": arguments.allow_new_data or None,
        "runtime.distribution_strategy": arguments.strategy,
        "runtime.tpu": arguments.tpu,
    }
    config = read_config(
        arguments.config,
        arguments.params_override,
        {key: value for key, value in flags.items() if value is not None},
    )
    if arguments.tpu_topology is not None:
        from rejoinder.trainer.tpu_compile.dry_run import describe_on_tpu

        report, fits = describe_on_tpu(config, arguments.tpu_topology)
        print(report)
        return 0 if fits else 1
    if arguments.dry_run:
        import tensorflow as tf

        from rejoinder.trainer.estimate import describe
        from rejoinder.trainer.run import open_run

        run = open_run(
            config,
            arguments.model_dir,
            mode=arguments.mode,
            strategy=tf.distribute.get_strategy(),
        )
        print(describe(run, arguments.devices))
        return 0
    return run_experiment(
        config,
        arguments.model_dir,
        arguments.mode,
        arguments.devices,
        evaluation=_open_evaluation(config.task.evaluation, arguments.mode),
    )


def _open_evaluation(options: "EvaluationOptions", mode: str) -> "Evaluation | None":
    """Returns the scores that each validation computes, with their data read; None without any."""
    if "eval" not in mode or not (options.sts or options.corpus):
        return None
    from rejoinder.evaluation.during_training import TrainingEvaluation

    return TrainingEvaluation(options.sts, options.corpus, options.batches)


def canonical(argv: Sequence[str]) -> list[str]:
    """Returns the arguments with Model Garden's spellings of flags replaced by ours."""
    result = []
    for argument in argv:
        flag, equals, value = argument.partition("=")
        result.append(f"{_MODEL_GARDEN.get(flag, flag)}{equals}{value}")
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rejoinder train",
        description="Train a sentence encoder on tokenized (context, response) pairs.",
        epilog="A stopped run continues from its last checkpoint when the command is run "
        "again. trainer/config.py and docs/training.md describe the configuration keys.",
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--corpus", metavar="FOLDER", help="corpus folder; sets task.train_data.input_path"
    )
    paths.add_argument(
        "--model-dir", metavar="FOLDER", help="checkpoints, summaries, reports (required)"
    )
    paths.add_argument(
        "--allow-new-data",
        action="store_true",
        help="continue over a corpus that `rejoinder preprocess --extend` or `rejoinder forget` "
        "changed since the checkpoint; sets task.train_data.allow_new_data",
    )
    paths.add_argument(
        "--init-from",
        metavar="MODEL",
        help="initial weights: a folder or hub name; sets task.model.init_from",
    )
    configuration = parser.add_argument_group("configuration")
    configuration.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="YAML",
        help="a file, or the name of a shipped configuration such as quickstart; overrides the "
        "defaults; repeatable, later ones win",
    )
    configuration.add_argument(
        "--params-override",
        default="",
        metavar="KEYS",
        help="overrides the files: YAML, JSON, a.b=1,c=2 or the path of a YAML file",
    )
    configuration.add_argument(
        "--mode", choices=MODES, default="train_and_eval", help="(default: %(default)s)"
    )
    configuration.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and an estimate, and stop",
    )
    configuration.add_argument(
        "--tpu-topology",
        metavar="NAME",
        help="with --dry-run: compile the step for a TPU without one, and print its memory, "
        "traffic, time and cost; v3-8, v4-8, v5e-8, v5p-8 or v6e-8",
    )
    devices = parser.add_argument_group("devices")
    devices.add_argument(
        "--tpu",
        metavar="ADDRESS",
        help="local (on a TPU VM), the name of a TPU, or grpc://address:8470",
    )
    devices.add_argument(
        "--strategy",
        metavar="NAME",
        help="auto (all GPUs, or the CPU), one_device, mirrored or multi_worker_mirrored; sets "
        "runtime.distribution_strategy",
    )
    devices.add_argument(
        "--devices", type=int, default=0, metavar="N", help="logical CPU devices for mirrored"
    )
    return parser
