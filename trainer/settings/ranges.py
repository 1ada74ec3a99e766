"""The range of every number in the configuration.

`tests/trainer/settings/test_ranges.py` fails when a key of the configuration holds numbers and has
no range here.
"""

import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from official.modeling.hyperparams import base_config

from rejoinder.errors import UserError
from rejoinder.trainer.settings.overrides import alternatives, key_types, optional_group

_MAX_INTEGER = 2**63 - 1  # the largest integer of TensorFlow


@dataclass(frozen=True)
class Range:
    """The numbers that a key accepts.

    Attributes:
        minimum: Smallest number.
        maximum: Largest number.
        above: Whether `minimum` itself is excluded.
        below: Whether `maximum` itself is excluded.
        also: A single number outside of the range that has a meaning of its own.
    """

    minimum: float
    maximum: float = math.inf
    above: bool = False
    below: bool = False
    also: float | None = None

    def __contains__(self, value: float) -> bool:
        if value == self.also:
            return True
        if not math.isfinite(value) or (isinstance(value, int) and value > _MAX_INTEGER):
            return False
        low = value > self.minimum if self.above else value >= self.minimum
        high = value < self.maximum if self.below else value <= self.maximum
        return low and high

    def __str__(self) -> str:
        text = f"{'greater than' if self.above else 'at least'} {self.minimum:g}"
        if math.isfinite(self.maximum):
            text += f" and {'below' if self.below else 'at most'} {self.maximum:.12g}"
        return text if self.also is None else f"{text}, or {self.also:g}"


_COUNT = Range(1)
_NOT_NEGATIVE = Range(0)
_POSITIVE = Range(0, above=True)
_SHARE = Range(0, 1, below=True)
_SEED = Range(0, 2**31 - 1)
_LENGTH = Range(3)  # `<s>`, a token, `</s>`

_PAIR_DATA = {
    "global_batch_size": Range(2),  # the other pairs of a batch are the negatives
    "temperature": _POSITIVE,
    "datasets_per_batch": _COUNT,
    "shuffle_window": _COUNT,
    "seed": _SEED,
    "row_length": Range(3, also=0),
    "row_counts": _COUNT,
    "max_segments": _COUNT,
    "bucket_lengths": _LENGTH,
    "prefetch": _COUNT,
}

_RANGES = {
    "task.model.max_length": _LENGTH,
    "task.model.frozen_layers": _NOT_NEGATIVE,
    "task.model.num_hidden_layers": _COUNT,
    "task.model.hidden_size": _COUNT,
    "task.model.num_attention_heads": _COUNT,
    "task.model.intermediate_size": _COUNT,
    "task.model.hidden_dropout_prob": _SHARE,
    "task.model.attention_probs_dropout_prob": _SHARE,
    "task.model.embedding_stddev": _POSITIVE,
    "task.loss.scale": _POSITIVE,
    "task.loss.max_scale": _COUNT,
    "task.loss.margin": Range(0, 2),  # cosines differ by at most 2
    "task.loss.matryoshka_dims": _COUNT,
    "task.loss.hard_negatives": _NOT_NEGATIVE,
    "task.loss.extra_contexts": Range(0, 100),  # as many as --extra-contexts accepts
    **{f"task.train_data.{key}": numbers for key, numbers in _PAIR_DATA.items()},
    **{f"task.validation_data.{key}": numbers for key, numbers in _PAIR_DATA.items()},
    "task.evaluation.batches": _COUNT,
    "task.grad_cache_chunks": _COUNT,
    "task.seed": _SEED,
    "task.differential_privacy_config.clipping_norm": _POSITIVE,
    "task.differential_privacy_config.noise_multiplier": _NOT_NEGATIVE,
    "trainer.steps_per_loop": _COUNT,
    "trainer.summary_interval": _COUNT,
    "trainer.checkpoint_interval": _COUNT,
    "trainer.max_to_keep": _COUNT,
    "trainer.continuous_eval_timeout": _NOT_NEGATIVE,
    "trainer.train_steps": _COUNT,
    "trainer.validation_steps": Range(1, also=-1),
    "trainer.validation_interval": _COUNT,
    "trainer.loss_upper_bound": _POSITIVE,
    "trainer.recovery_begin_steps": _NOT_NEGATIVE,
    "trainer.recovery_max_trials": Range(-1),
    "trainer.early_stopping_patience": _NOT_NEGATIVE,
    "runtime.dataset_num_private_threads": _COUNT,
    "runtime.per_gpu_thread_count": _NOT_NEGATIVE,
    "runtime.num_gpus": _NOT_NEGATIVE,
    "runtime.task_index": Range(-1),
    "runtime.num_packs": _NOT_NEGATIVE,
    "runtime.loss_scale": _POSITIVE,
    "runtime.num_cores_per_replica": _COUNT,
    "runtime.default_shard_dim": Range(-1),
}

# Keys of Model Garden's optimizers and schedules, by their last name: the same name has
# the same meaning in each of them.
_OPTIMIZATION = "trainer.optimizer_config."
_OPTIMIZATION_RANGES = {
    # Learning rates and schedules.
    "learning_rate": _NOT_NEGATIVE,
    "initial_learning_rate": _NOT_NEGATIVE,
    "end_learning_rate": _NOT_NEGATIVE,
    "warmup_learning_rate": _NOT_NEGATIVE,
    "pre_offset_learning_rate": _NOT_NEGATIVE,
    "sparse_layer_learning_rate": _NOT_NEGATIVE,
    "values": _NOT_NEGATIVE,
    "boundaries": _COUNT,
    "decay_steps": _COUNT,
    "total_decay_steps": _COUNT,
    "warmup_steps": _NOT_NEGATIVE,
    "offset": _NOT_NEGATIVE,
    "alpha": Range(0, 1),  # the last rate as a share of the first
    "linear_decay_fraction": Range(0, 1, above=True),
    "power": Range(-10, 10),  # a decay by a root has a negative power
    # Optimizers. A clip norm of 0 is none.
    "clipnorm": _POSITIVE,
    "clipvalue": _POSITIVE,
    "global_clipnorm": _POSITIVE,
    "gradient_clip_norm": _NOT_NEGATIVE,
    "ratio_clip_norm": _POSITIVE,
    "clip_threshold": _POSITIVE,
    "clipping_threshold": _POSITIVE,
    "decay": _NOT_NEGATIVE,
    "decay_rate": Range(0, 1),
    "momentum": _SHARE,
    "rho": _SHARE,
    "beta1": _SHARE,
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "beta_2_decay": Range(-1, 0, below=True),
    "epsilon": _POSITIVE,
    "epsilon1": _POSITIVE,
    "epsilon2": _POSITIVE,
    "epsilon_1": _POSITIVE,
    "epsilon_2": _POSITIVE,
    "eeta": _POSITIVE,
    "initial_accumulator_value": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "weight_decay_rate": _NOT_NEGATIVE,
    "min_dim_size_to_factor": _COUNT,
    "step_offset": _NOT_NEGATIVE,
    # Average of the weights.
    "average_decay": _SHARE,
    "start_step": _NOT_NEGATIVE,
}


def range_of(key: str) -> Range | None:
    """Returns the range of a dotted key, or None if it has none."""
    if key.startswith(_OPTIMIZATION):
        return _OPTIMIZATION_RANGES.get(key.rsplit(".", 1)[-1])
    return _RANGES.get(key)


def numeric_keys(config: base_config.Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each dotted key that can hold numbers, and its value.

    A group that is absent, such as `ema`, is included with its defaults.
    """
    for name, hint in key_types(config).items():
        value, group = getattr(config, name), optional_group(hint)
        if value is None and group:
            value = group()
        if isinstance(value, base_config.Config):
            yield from numeric_keys(value, f"{prefix}{name}.")
        elif _holds_numbers(hint):
            yield f"{prefix}{name}", value


def check_ranges(config: base_config.Config) -> None:
    """Checks every number of the configuration.

    Raises:
        UserError: A number is outside of its range; the message names the key.
    """
    for key, value in numeric_keys(config):
        numbers = range_of(key)
        for number in value if isinstance(value, list | tuple) else [value]:
            if numbers and isinstance(number, int | float) and number not in numbers:
                limit = f" and at most {_MAX_INTEGER}" if number > _MAX_INTEGER else ""
                raise UserError(f"{key}: must be {numbers}{limit}, got {value}")


def _holds_numbers(hint: Any) -> bool:
    """Returns whether a type is a number, or a union or list with one."""
    return any(
        kind in (int, float) or any(map(_holds_numbers, typing.get_args(kind)))
        for kind in alternatives(hint)
    )
