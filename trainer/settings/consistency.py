"""Checks that the keys of a resolved configuration make sense together."""

from official.modeling.hyperparams import base_config

from rejoinder.errors import UserError
from rejoinder.trainer.config import ExperimentConfig, LossOptions, TrainerConfig

_OPTIMIZATION = "trainer.optimizer_config"
# Schedules of several rates, and how many more rates than boundaries they have.
_EXTRA_VALUES = {"stepwise": 1, "step_cosine_with_offset": 0}
_MIN_SCALE = 1.0  # of `task.py`: the lower bound of a learned scale


def check_settings(config: ExperimentConfig) -> None:
    """Checks a resolved configuration whose numbers are in their ranges.

    Raises:
        UserError: Keys contradict each other, or a key is missing or has no effect; the
            message names the key.
    """
    _check_optimization(config.trainer)
    _check_loss(config.task.loss)
    if config.task.init_checkpoint:
        raise UserError("task.init_checkpoint: is not used; set task.model.init_from (--init-from)")
    if config.task.differential_privacy_config is not None:
        raise UserError("task.differential_privacy_config: is not supported; remove it")


def _check_optimization(trainer: TrainerConfig) -> None:
    optimization = trainer.optimizer_config
    for name in ("optimizer", "learning_rate"):
        if getattr(optimization, name).type is None:
            raise UserError(f"{_OPTIMIZATION}.{name}.type: must be set")
    rate = optimization.learning_rate
    rate_key = f"{_OPTIMIZATION}.learning_rate.{rate.type}"
    _check_complete(rate.get(), rate_key)
    if rate.type in _EXTRA_VALUES:
        _check_boundaries(rate.get(), rate_key, _EXTRA_VALUES[rate.type])
    warmup = optimization.warmup
    if warmup.type is None:
        return
    warmup_key = f"{_OPTIMIZATION}.warmup.{warmup.type}"
    _check_complete(warmup.get(), warmup_key)
    steps = warmup.get().warmup_steps
    if steps > trainer.train_steps:
        raise UserError(
            f"{warmup_key}.warmup_steps: must be at most trainer.train_steps "
            f"({trainer.train_steps}), got {steps}; the learning rate would never reach its peak"
        )


def _check_complete(schedule: base_config.Config, key: str) -> None:
    """Checks that every key of a schedule has a value, for most have no default."""
    for name, value in schedule.as_dict().items():
        if value is None and name != "staircase":
            raise UserError(f"{key}.{name}: must be set")


def _check_boundaries(schedule: base_config.Config, key: str, extra: int) -> None:
    boundaries, values = list(schedule.boundaries), list(schedule.values)
    if boundaries != sorted(set(boundaries)):
        raise UserError(f"{key}.boundaries: must increase, got {boundaries}")
    if len(values) != len(boundaries) + extra:
        raise UserError(
            f"{key}.values: must have {len(boundaries) + extra} numbers for {len(boundaries)} "
            f"boundaries, got {values}"
        )


def _check_loss(loss: LossOptions) -> None:
    if loss.learn_scale and not _MIN_SCALE <= loss.scale <= loss.max_scale:
        raise UserError(
            f"task.loss.scale: a learned scale must begin between {_MIN_SCALE:g} and "
            f"task.loss.max_scale ({loss.max_scale:g}), got {loss.scale:g}"
        )
