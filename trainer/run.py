"""A run: all that it needs, opened once and checked before anything is written."""

from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from rejoinder.corpus.manifest import Manifest
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint
from rejoinder.trainer import resume_check
from rejoinder.trainer.best_folder import check_name, check_not_best
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.data.corpora import (
    Corpus,
    check_extra_contexts,
    check_mined,
    folders,
    open_corpora,
)
from rejoinder.trainer.distribution.hosts import Hosts
from rejoinder.trainer.initialization import BaseModel, check_tokenizer, find_base_model
from rejoinder.trainer.loss import loss_widths
from rejoinder.trainer.model_dir_check import check_model_dir

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class Run:
    """A checked run.

    Attributes:
        config: The resolved configuration.
        model_dir: Folder of checkpoints, summaries and reports.
        mode: `train`, `eval`, `train_and_eval` or `continuous_eval`.
        strategy: Strategy of all variables and steps.
        base: Sizes, tokenizer and initial weights of the encoder.
        train_corpora: Corpora to train on.
        validation_corpora: Corpora to evaluate on; empty if the mode does not evaluate.
        left_out: Folders of corpora that have no pairs to evaluate on.
    """

    config: ExperimentConfig
    model_dir: str
    mode: str
    strategy: tf.distribute.Strategy
    base: BaseModel
    train_corpora: tuple[Corpus, ...]
    validation_corpora: tuple[Corpus, ...]
    left_out: tuple[str, ...] = ()

    @cached_property
    def hosts(self) -> Hosts:
        """All hosts of the run; only the chief among them writes to MODEL_DIR."""
        return Hosts.of(self.strategy)

    @property
    def trains(self) -> bool:
        """Whether the run trains."""
        return "train" in self.mode

    @property
    def evaluates(self) -> bool:
        """Whether the run evaluates."""
        return "eval" in self.mode

    @property
    def precision(self) -> str:
        """Precision of activations and matrix products: `float32` or `bfloat16`."""
        return self.config.runtime.mixed_precision_dtype or "float32"

    @property
    def dtype_policy(self) -> str:
        """The tf_keras policy of that precision."""
        return _POLICIES[self.precision]

    @property
    def clip_norm(self) -> float:
        """Bound of the global norm of the summed gradient; 0 means no bound."""
        optimizer = self.config.trainer.optimizer_config.optimizer.get()
        return float(getattr(optimizer, "gradient_clip_norm", None) or 0.0)


def open_run(
    config: ExperimentConfig, model_dir: str, *, mode: str, strategy: tf.distribute.Strategy
) -> Run:
    """Opens the corpora and the base model, and checks the run. It writes nothing.

    Raises:
        UserError: The run cannot start.
    """
    check_model_dir(model_dir)
    manifests: dict[str, Manifest] = {}
    train = open_corpora(config.task.train_data, "task.train_data", manifests)
    validation: list[Corpus] = []
    left_out: list[str] = []
    if "eval" in mode:
        key, data = "task.validation_data", config.task.validation_data
        validation = open_corpora(data, key, manifests, partial=True)
        opened = {corpus.data_set.folder for corpus in validation}
        left_out = [folder for _, folder, _ in folders(data, key) if folder not in opened]
        if not validation:
            mode = _mode_without_validation(config, mode, left_out[0])
    base = find_base_model(config.task.model, train)
    run = Run(
        config, model_dir, mode, strategy, base, tuple(train), tuple(validation), tuple(left_out)
    )
    _check(run)
    return run


def _mode_without_validation(config: ExperimentConfig, mode: str, folder: str) -> str:
    """Returns the mode of a run whose corpora have no pairs to evaluate on."""
    split = config.task.validation_data.split
    if mode != "train_and_eval":
        raise UserError(f"{folder}: has no {split!r} pairs (task.validation_data.split)")
    if config.trainer.early_stopping_patience:
        raise UserError(
            f"{folder}: has no {split!r} pairs (task.validation_data.split), which "
            "trainer.early_stopping_patience needs"
        )
    return "train"


def check_precision(run: Run) -> None:
    """Checks the precision of activations.

    Raises:
        UserError: There is no such precision.
    """
    if run.precision not in _POLICIES:
        raise UserError(
            f"runtime.mixed_precision_dtype: must be float32 or bfloat16, got {run.precision!r}"
        )


def _check(run: Run) -> None:
    config = run.config
    check_precision(run)
    if config.trainer.best_checkpoint_metric_comp not in ("higher", "lower"):
        raise UserError(
            "trainer.best_checkpoint_metric_comp: must be higher or lower, got "
            f"{config.trainer.best_checkpoint_metric_comp!r}"
        )
    check_name(config.trainer.best_checkpoint_export_subdir)
    check_tokenizer(run.base, [*run.train_corpora, *run.validation_corpora])
    loss_widths(config.task.loss.matryoshka_dims, run.base.config.hidden_size)
    if run.trains:
        loss = config.task.loss
        check_mined(run.train_corpora, loss.hard_negatives, loss.guide)
        check_extra_contexts(run.train_corpora, loss.extra_contexts)
        check_not_best(run.model_dir)
    resume_check.check_model(run.model_dir, config, run.base.config, training=run.trains)
    if run.trains:
        resume_check.check_data(run.model_dir, config, run.train_corpora)
    elif run.mode == "eval" and latest_checkpoint(run.model_dir) is None:
        raise UserError(
            f"{run.model_dir}: holds no checkpoint to evaluate; train it first, or name "
            "another --model-dir"
        )
