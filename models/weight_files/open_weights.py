"""Finds the weights in a model folder, as transformers does."""

import json
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.models.weight_files.safetensors_file import read_safetensors
from rejoinder.models.weight_files.stored_tensor import StoredTensor
from rejoinder.models.weight_files.torch_file import read_torch_file

# In the order in which transformers looks for them.
_SAFETENSORS = "model.safetensors"
_TORCH = "pytorch_model.bin"
_READERS = {_SAFETENSORS: read_safetensors, _TORCH: read_torch_file}
# What torch's files are named, on the hub and in buckets.
TORCH_FILES = "pytorch_model*.bin"


def open_weights(folder: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a model folder by name; their data is read later.

    Args:
        folder: A folder with `model.safetensors` or `pytorch_model.bin`, whole or in shards.

    Raises:
        UserError: There are no weights, or a file is damaged or not only tensors.
    """
    for name, read in _READERS.items():
        if (folder / name).exists():
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if index.exists():
            tensors: dict[str, StoredTensor] = {}
            for shard in _shards(index):
                tensors |= read(shard)
            return tensors
    raise UserError(
        f"{folder}: has neither {_SAFETENSORS} nor {_TORCH}; give the folder of a model's weights"
    )


def _shards(index: Path) -> list[Path]:
    """Returns the files that an index names, which have to lie beside it."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        shards = [index.parent / name for name in sorted(names)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{index}: is not an index of weights ({error!r})") from None
    for name, shard in zip(sorted(names), shards, strict=True):
        if Path(name).name != name:
            raise UserError(f"{index}: weight_map names {name!r}, must be a file in the folder")
        if not shard.exists():
            raise UserError(f"{index}: names {name}, which does not exist; download it too")
    return shards
