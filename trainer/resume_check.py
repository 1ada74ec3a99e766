"""Remembers what a model folder was trained on and as what, so that going on means going on."""

import hashlib
import json
import posixpath
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import yaml

from rejoinder.errors import UserError
from rejoinder.models.model_dir import (
    DATA_DESCRIPTION,
    PARAMETERS,
    is_model_dir,
    local_encoder_folder,
)
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.config import DualEncoderExperiment
from rejoinder.trainer.data.corpora import Corpus

# Keys of train_data that decide which pairs a step sees.
_ORDER_KEYS = (
    "split",
    "global_batch_size",
    "weighting",
    "temperature",
    "datasets_per_batch",
    "shuffle_window",
    "shuffle",
    "seed",
)
# What the shapes of the encoder's variables follow from.
_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "relative_attention_num_buckets",
)
# Keys that decide which further variables a training checkpoint holds.
_STATE_KEYS = (
    "task.model.frozen_layers",
    "task.loss.learn_scale",
    "trainer.optimizer_config.optimizer.type",
)


def describe(config: DualEncoderExperiment, corpora: Sequence[Corpus]) -> dict[str, Any]:
    """Returns everything that the batch of a step depends on."""
    data = config.task.train_data
    return {
        "order": {key: getattr(data, key) for key in _ORDER_KEYS},
        "corpora": [
            {
                "name": corpus.source.name,
                "weight": corpus.weight,
                "pairs": corpus.examples,
                "shards": _digest([shard.sha256 for shard in corpus.source.shards]),
                "tokenizer": corpus.manifest.tokenizer,
            }
            for corpus in corpora
        ],
    }


def check_model(
    model_dir: str, config: DualEncoderExperiment, encoder: MPNetConfig, *, training: bool
) -> None:
    """Compares the run's model with the one that the folder's checkpoint holds.

    Raises:
        UserError: the checkpoint does not fit: the encoder has other sizes or, for a
            training run, other variables are trained or another optimizer trains them.
    """
    if not (tf.train.latest_checkpoint(model_dir) and is_model_dir(model_dir)):
        return
    stored = MPNetConfig.from_folder(local_encoder_folder(model_dir))
    for name in _SIZES:
        before, now = getattr(stored, name), getattr(encoder, name)
        if before != now:
            raise UserError(_changed(model_dir, f"the encoder's {name}", before, now))
    path = posixpath.join(model_dir, PARAMETERS)
    if not (training and tf.io.gfile.exists(path)):
        return
    with tf.io.gfile.GFile(path) as file:
        parameters = yaml.safe_load(file.read())
    resolved = config.as_dict()
    for key in _STATE_KEYS:
        before, now = _value(parameters, key), _value(resolved, key)
        if before is not None and before != now:
            raise UserError(_changed(model_dir, key, before, now))


def _value(parameters: dict[str, Any], key: str) -> Any:
    """Returns the value of a dotted key; None where there is none (of an older version)."""
    value: Any = parameters
    for name in key.split("."):
        value = (value or {}).get(name)
    return value


def _changed(model_dir: str, what: str, before: Any, now: Any) -> str:
    return (
        f"{model_dir}: {what} changed from {before!r} to {now!r} since its checkpoint; put it "
        "back, or name another --model_dir"
    )


def check(model_dir: str, config: DualEncoderExperiment, corpora: Sequence[Corpus]) -> None:
    """Writes the description beside the first checkpoint, and compares it with later runs.

    Raises:
        UserError: `model_dir` holds a checkpoint of a run on other data; the
            message names the corpus or the key.
    """
    path = posixpath.join(model_dir, DATA_DESCRIPTION)
    now = describe(config, corpora)
    if tf.train.latest_checkpoint(model_dir) and tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            before = json.load(file)
        difference = _difference(before, now)
        if difference:
            raise UserError(
                f"{model_dir}: {difference} since its checkpoint; put it back, or train into "
                "another --model_dir (--init_from takes these weights along)"
            )
        return
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(now, indent=2, sort_keys=True) + "\n")


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    for key, value in now["order"].items():
        if before["order"].get(key) != value:
            return f"task.train_data.{key} changed from {before['order'].get(key)!r} to {value!r}"
    old = {entry["name"]: entry for entry in before["corpora"]}
    for entry in now["corpora"]:
        known = old.pop(entry["name"], None)
        if known is None:
            return f"corpus {entry['name']!r} was added"
        for key, value in entry.items():
            if known.get(key) != value:
                return f"corpus {entry['name']!r} changed ({key})"
    return f"corpus {next(iter(old))!r} was removed" if old else None


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
