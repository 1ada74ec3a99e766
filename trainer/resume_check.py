"""Checks that a resumed run uses the same data, model and optimizer as its checkpoint."""

import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint, refuse_foreign
from rejoinder.models.model_dir import (
    DATA_DESCRIPTION,
    PARAMETERS,
    is_model_dir,
    local_encoder_folder,
)
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.data.corpora import Corpus

# Keys of train_data on which the pairs of a step depend.
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
# Sizes on which the shapes of the encoder's variables depend.
_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "relative_attention_num_buckets",
)
# Keys on which the other variables of a training checkpoint depend.
_STATE_KEYS = (
    "task.model.frozen_layers",
    "task.loss.learn_scale",
    "trainer.optimizer_config.optimizer.type",
)


_AVERAGE = "trainer.optimizer_config.ema"


def describe(config: ExperimentConfig, corpora: Sequence[Corpus]) -> dict[str, Any]:
    """Returns everything on which the batch of a step depends, as `data.json` stores it."""
    data = config.task.train_data
    return {
        "order": {key: getattr(data, key) for key in _ORDER_KEYS},
        "corpora": [
            {
                "name": corpus.data_set.name,
                "weight": corpus.weight,
                "pairs": corpus.examples,
                "shards": _digest([shard.sha256 for shard in corpus.data_set.shards]),
                "tokenizer": corpus.manifest.tokenizer,
            }
            for corpus in corpora
        ],
    }


def check_model(
    model_dir: str, config: ExperimentConfig, encoder: MPNetConfig, *, training: bool
) -> None:
    """Compares the run's model with that of the checkpoint in MODEL_DIR.

    Raises:
        UserError: The encoder has other sizes, the average of the weights was switched on
            or off or, for a training run, other variables are trained or the optimizer is
            another.
    """
    if latest_checkpoint(model_dir) is None:
        return
    if not is_model_dir(model_dir):
        refuse_foreign(model_dir)
    stored = MPNetConfig.from_folder(local_encoder_folder(model_dir))
    for name in _SIZES:
        before, now = getattr(stored, name), getattr(encoder, name)
        if before != now:
            raise UserError(_changed(model_dir, f"the encoder's {name}", before, now))
    path = storage.join(model_dir, PARAMETERS)
    if not storage.exists(path):
        return
    parameters = yaml.safe_load(storage.read_bytes(path))
    resolved = config.as_dict()
    before, now = _average(parameters), _average(resolved)
    # An evaluation is of the average, so it needs the key as much as the training does.
    if (before is None) != (now is None):
        raise UserError(_changed(model_dir, _AVERAGE, before, now))
    if not training:
        return
    for key in _STATE_KEYS:
        before, now = _value(parameters, key), _value(resolved, key)
        if before is not None and before != now:
            raise UserError(_changed(model_dir, key, before, now))


def _value(parameters: dict[str, Any], key: str) -> Any:
    """Returns the value of a dotted key; None if an older version did not have the key."""
    value: Any = parameters
    for name in key.split("."):
        value = (value or {}).get(name)
    return value


def _average(parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the decay of the average of the weights; None if none is kept."""
    average = _value(parameters, _AVERAGE)
    return average and {"average_decay": average["average_decay"]}


def _changed(model_dir: str, what: str, before: Any, now: Any) -> str:
    return (
        f"{model_dir}: {what} changed from {before!r} to {now!r} since its checkpoint; restore "
        "it, or name another --model-dir"
    )


def check_data(model_dir: str, config: ExperimentConfig, corpora: Sequence[Corpus]) -> None:
    """Compares the run's data with those of the checkpoint in MODEL_DIR.

    Raises:
        UserError: The checkpoint was trained on other data; the message names the
            corpus or the key.
    """
    before = _stored(model_dir)
    difference = before and _difference(before, describe(config, corpora))
    if before and difference:
        reason = _reason(before, config, corpora)
        if reason and config.task.train_data.allow_new_data:
            return
        if reason:
            raise UserError(
                f"{model_dir}: {difference} since its checkpoint, because {reason}; give "
                "--allow-new-data to continue over all its pairs, or name another --model-dir"
            )
        raise UserError(
            f"{model_dir}: {difference} since its checkpoint; restore it, or train into "
            f"another --model-dir (--init-from {model_dir} starts from these weights)"
        )


def write_description(model_dir: str, config: ExperimentConfig, corpora: Sequence[Corpus]) -> None:
    """Writes `data.json`, unless MODEL_DIR has that of its checkpoint.

    If the corpora were extended or lost pairs since (`check_data`), it is written anew, and
    names under `earlier` the corpora before and the last checkpoint that saw only them.

    Raises:
        UserError: The file cannot be written.
    """
    before, now = _stored(model_dir), describe(config, corpora)
    if before is not None and _difference(before, now):
        checkpoint = posixpath.basename(latest_checkpoint(model_dir) or "")
        earlier = {"checkpoint": checkpoint, "corpora": before["corpora"]}
        now["earlier"] = [*before.get("earlier", ()), earlier]
        before = None
    if before is None:
        text = json.dumps(now, indent=2, sort_keys=True) + "\n"
        storage.replace_bytes(storage.join(model_dir, DATA_DESCRIPTION), text.encode())


def _stored(model_dir: str) -> dict[str, Any] | None:
    """Returns the description of the checkpoint's data; None without a checkpoint."""
    path = storage.join(model_dir, DATA_DESCRIPTION)
    if latest_checkpoint(model_dir) is None or not storage.exists(path):
        return None
    stored: dict[str, Any] = json.loads(storage.read_bytes(path))
    return stored


def _reason(
    before: dict[str, Any], config: ExperimentConfig, corpora: Sequence[Corpus]
) -> str | None:
    """Returns why the corpora differ from those of the checkpoint, None for any other change."""
    now = describe(config, corpora)
    if _difference(_grown(before, corpora, forgotten=False), now) is None:
        return "it was extended"
    if _difference(_grown(before, corpora, forgotten=True), now) is None:
        return "comments were forgotten in it"
    return None


def _grown(before: dict[str, Any], corpora: Sequence[Corpus], *, forgotten: bool) -> dict[str, Any]:
    """Returns a description with the corpora that come from the earlier ones.

    A corpus comes from one with whose shards it begins.

    Args:
        before: The description of the checkpoint's data.
        corpora: The corpora now.
        forgotten: Whether also one with whose shards it began before `rejoinder forget` replaced
            some.
    """
    old = {entry["name"]: entry for entry in before["corpora"]}
    entries = []
    for corpus in corpora:
        entry = old.pop(corpus.data_set.name, None)
        if entry is None:
            continue
        digests = [shard.sha256 for shard in corpus.data_set.shards]
        split = before["order"].get("split", "")
        removals = corpus.manifest.removals if forgotten else []
        versions = _versions(digests, removals, split)
        if any(entry["shards"] in _prefix_digests(version) for version in versions):
            entry = entry | {"shards": _digest(digests), "pairs": corpus.examples}
        entries.append(entry)
    return before | {"corpora": [*entries, *old.values()]}


def _versions(
    digests: Sequence[str], removals: Sequence[dict[str, Any]], split: str
) -> Iterator[list[str]]:
    """Yields the sha256 of the shards of a split now, before the last removal, and so on.

    Args:
        digests: The sha256 of each shard now.
        removals: See `rejoinder.corpus.manifest.Manifest`.
        split: The split.
    """
    version = list(digests)
    yield version
    for removal in reversed(removals):
        version = list(version)
        for number, sha256 in removal["replaced"].get(split, {}).items():
            if int(number) < len(version):
                version[int(number)] = sha256
        yield version


def _prefix_digests(parts: Sequence[str]) -> set[str]:
    """Returns `_digest` of the first part, of the first two, and so on."""
    digest, found = hashlib.sha256(), set()
    for index, part in enumerate(parts):
        digest.update(("\n" if index else "").encode() + part.encode())
        found.add(digest.hexdigest())
    return found


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
