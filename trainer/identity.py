"""Remembers what a model folder was trained on, so that going on means going on."""

import hashlib
import json
import posixpath
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from corpus.errors import UserError
from models.model_card import DATA_DESCRIPTION
from trainer.config import DualEncoderExperiment
from trainer.data.sources import Corpus

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
