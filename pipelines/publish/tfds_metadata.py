"""`dataset_info.json` and `features.json`, which `tfds.builder_from_directory` reads.

The text features are listed only if every split carries them, because TFDS
reads all splits with one specification. A feature that a pair may lack is a sequence, which is
then empty: TFDS refuses an example without a value for any other.
"""

import json
from collections.abc import Sequence
from typing import Any

from rejoinder.corpus.features import ID_FEATURES, extra_context_ids
from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import FEATURES

_CLASSES = "tensorflow_datasets.core.features."
_VERSION = "1.0.0"


def documents(manifest: Manifest, text_features: Sequence[str]) -> dict[str, str]:
    """Returns the two files' texts by name.

    Args:
        manifest: The manifest of the corpus.
        text_features: Names of the text features, in order.
    """
    everywhere = set(manifest.has_text) >= set(manifest.splits)
    return {
        "dataset_info.json": _dump(_dataset_info(manifest)),
        FEATURES: _dump(_features(manifest.extra_contexts, text_features if everywhere else [])),
    }


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _dataset_info(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": "".join(c if c.isalnum() else "_" for c in manifest.name.lower()),
        "version": _VERSION,
        "fileFormat": "tfrecord",
        "description": "Tokenized (context, response) pairs from Reddit comments.",
        "splits": [
            {
                "name": split,
                "filepathTemplate": "{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": str(sum(shard.bytes for shard in shards)),
                "shardLengths": [str(shard.examples) for shard in shards],
            }
            for split, shards in manifest.splits.items()
        ],
    }


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    """Returns the specification of any number of values."""
    return {
        "pythonClassName": _CLASSES + "sequence_feature.Sequence",
        "sequence": {"feature": feature, "length": "-1"},
    }


def _features(extra_contexts: int, text_features: Sequence[str]) -> dict[str, Any]:
    ids = _sequence(
        {
            "pythonClassName": _CLASSES + "tensor_feature.Tensor",
            "tensor": {"shape": {}, "dtype": "int64", "encoding": "none"},
        }
    )
    further = map(extra_context_ids, range(extra_contexts))
    text = {"pythonClassName": _CLASSES + "text_feature.Text", "text": {}}
    sequence = _sequence(text)
    return {
        "pythonClassName": _CLASSES + "features_dict.FeaturesDict",
        "featuresDict": {
            "features": dict.fromkeys([*ID_FEATURES, *further], ids)
            # The number of a further context is behind a slash.
            | {name: sequence if "/" in name else text for name in text_features}
        },
    }
