"""Trains the dual encoder: `rejoinder train --config_file=… --data=… --model_dir=…`."""

import argparse
import os
from collections.abc import Sequence

from rejoinder.errors import UserError

MODES = ("train", "eval", "train_and_eval", "continuous_eval")


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the command line and runs the experiment."""
    parser = argparse.ArgumentParser(
        prog="rejoinder train",
        description="Train a sentence encoder on tokenized (context, response) pairs.",
        epilog="A run that was stopped goes on from its last checkpoint when the command is "
        "repeated. Keys of the configuration: trainer/config.py and docs/training.md.",
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--model_dir", required=True, metavar="FOLDER", help="checkpoints, summaries, reports"
    )
    paths.add_argument(
        "--data", metavar="FOLDER", help="corpus folder: short for task.train_data.input_path"
    )
    paths.add_argument(
        "--init_from",
        metavar="FOLDER",
        help="weights to start from: short for task.model.init_from",
    )
    configuration = parser.add_argument_group("configuration")
    configuration.add_argument(
        "--experiment", default="rejoinder/dual_encoder", help="registered experiment (%(default)s)"
    )
    configuration.add_argument(
        "--config_file",
        action="append",
        default=[],
        metavar="YAML",
        help="overrides the defaults; repeatable, later files win",
    )
    configuration.add_argument(
        "--params_override",
        default="",
        metavar="KEYS",
        help="overrides the files: YAML, JSON, a.b=1,c=2 or the path of a YAML file",
    )
    configuration.add_argument(
        "--mode", choices=MODES, default="train_and_eval", help="(%(default)s)"
    )
    configuration.add_argument(
        "--dry-run", action="store_true", help="print what would run, and an estimate, and stop"
    )
    devices = parser.add_argument_group("devices")
    devices.add_argument(
        "--tpu", metavar="ADDRESS", help="local (on a TPU VM), a TPU's name, or grpc://address:8470"
    )
    devices.add_argument(
        "--strategy",
        metavar="NAME",
        help="one_device, mirrored, multi_worker_mirrored: runtime.distribution_strategy",
    )
    devices.add_argument(
        "--devices", type=int, default=0, metavar="N", help="logical CPU devices for mirrored"
    )
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    # TensorFlow takes seconds to import: not before the command line is known to be good.
    from rejoinder.trainer.run import read_config, run_experiment

    overrides = {
        "task.train_data.input_path": arguments.data,
        "task.model.init_from": arguments.init_from,
        "runtime.distribution_strategy": arguments.strategy,
        "runtime.tpu": arguments.tpu,
    }
    config = read_config(
        arguments.experiment,
        arguments.config_file,
        arguments.params_override,
        {key: value for key, value in overrides.items() if value is not None},
    )
    if arguments.dry_run:
        from rejoinder.trainer.estimate import describe

        print(describe(config, arguments.devices))
        return 0
    if arguments.mode == "eval" and not os.path.exists(arguments.model_dir):
        raise UserError(f"--model_dir: {arguments.model_dir} does not exist")
    return run_experiment(config, arguments.model_dir, arguments.mode, arguments.devices)
