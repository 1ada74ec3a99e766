"""From the command line to the resolved configuration."""

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.trainer.config import ExperimentConfig, default_config
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.consistency import check_settings
from rejoinder.trainer.settings.ranges import check_ranges
from rejoinder.trainer.settings.schedule import complete_schedule


def read_config(files: Sequence[str], override: str, flags: Mapping[str, Any]) -> ExperimentConfig:
    """Returns the resolved configuration.

    Args:
        files: YAML files or names of shipped configurations; later ones win.
        override: Value of `--params-override`.
        flags: Values of dotted keys that have flags of their own; they win over all.

    Raises:
        UserError: A file or key does not exist, or a value is not valid.
    """
    config = default_config()
    for file in files:
        path = find_config(file)
        overrides.apply(config, overrides.load_file(path), path)
    if override:
        overrides.apply(config, overrides.load_override(override), "--params-override")
    for key, value in flags.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        config.override(nested)
    check_ranges(config)
    validation = config.task.validation_data
    if not validation.input_path:
        validation.input_path = config.task.train_data.input_path
        validation.data_config = config.task.train_data.data_config
    for data in (config.task.train_data, validation):
        data.data_config = shipped_configs(".json").get(data.data_config, data.data_config)
    # Orbit writes summaries only at multiples of the inner loop.
    config.trainer.summary_interval = config.trainer.steps_per_loop
    complete_schedule(config.trainer)
    check_settings(config)
    return config


def find_config(name: str) -> str:
    """Returns the path of a configuration.

    Args:
        name: Name of a shipped configuration, or a path; a file in the current folder
            that is named like a shipped configuration is given as `./NAME`.

    Raises:
        UserError: It is neither.
    """
    shipped = shipped_configs()
    if name in shipped:
        return shipped[name]
    if not storage.exists(name):
        raise UserError(
            f"--config {name}: does not exist; give the path of a YAML file, or one of the "
            f"shipped configurations: {', '.join(sorted(shipped))}"
        )
    return name


def shipped_configs(ending: str = ".yaml") -> dict[str, str]:
    """Returns the path of each file in `configs` that is part of the package, by name.

    Args:
        ending: `.yaml` for configurations, `.json` for `data_config.json` files.
    """
    folder = Path(str(importlib.resources.files("rejoinder") / "configs"))
    return {path.stem: str(path) for path in folder.glob(f"*{ending}")}
