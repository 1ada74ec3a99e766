"""Writes the files of MODEL_DIR that describe a run, before its first step."""

import yaml

from rejoinder import storage
from rejoinder.models.loading import write_encoder_folder
from rejoinder.models.model_dir import ENCODER_FOLDER, PARAMETERS
from rejoinder.trainer import resume_check
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.run import Run


def write_model_folder(run: Run) -> None:
    """Writes `data.json`, `params.yaml` and `encoder/`.

    Raises:
        UserError: The folder cannot be written.
    """
    resume_check.write_description(run.model_dir, run.config, run.train_corpora)
    storage.replace_bytes(storage.join(run.model_dir, PARAMETERS), to_yaml(run.config).encode())
    write_encoder_folder(
        storage.join(run.model_dir, ENCODER_FOLDER),
        config=run.base.config,
        tokenizer_folder=run.base.tokenizer_folder,
        max_length=run.config.task.model.max_length,
    )


def to_yaml(config: ExperimentConfig) -> str:
    """Returns the resolved configuration as YAML with sorted keys."""
    return yaml.safe_dump(config.as_dict(), sort_keys=True)
