"""Converts weights exactly between Hugging Face's tensors and the Keras variables.

Only safetensors files are read: no pickle, no torch. Tensors that are missing, unknown
or of another shape are one error that lists all of them.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.local_folder import MODEL_FILES, local_folder
from rejoinder.models.mpnet import MPNetEncoder
from rejoinder.models.sentence_encoder import SentenceEncoder

# Tensors of a checkpoint that a sentence encoder does not use: the masked language
# model's head, and position numbers that old versions stored.
IGNORED_PREFIXES = ("lm_head.", "embeddings.position_ids")
# A masked language model's checkpoint puts this before every name of the encoder.
MODEL_PREFIX = "mpnet."
# Not part of the sentence encoder, so a checkpoint without them is complete.
OPTIONAL_PREFIX = "pooler."


@dataclasses.dataclass(frozen=True)
class Binding:
    """A Keras variable and the tensors that hold it in a checkpoint.

    Attributes:
        variable: The Keras variable.
        names: Hugging Face names, concatenated along the variable's last axis.
        is_kernel: Whether torch stores it transposed, as [outputs, inputs].
    """

    variable: tf.Variable
    names: tuple[str, ...]
    is_kernel: bool = False

    def to_keras(self, tensors: list[np.ndarray]) -> np.ndarray:
        """Returns the variable's value, float32."""
        parts = [np.asarray(tensor, np.float32) for tensor in tensors]
        return np.concatenate([part.T if self.is_kernel else part for part in parts], axis=-1)

    def to_huggingface(self) -> dict[str, np.ndarray]:
        """Returns the checkpoint's tensors, float32."""
        parts = np.split(self.variable.numpy(), len(self.names), axis=-1)
        arrays = [np.ascontiguousarray(part.T if self.is_kernel else part) for part in parts]
        return dict(zip(self.names, arrays, strict=True))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the required shape of each tensor of a checkpoint."""
        shape = list(self.variable.shape)
        shape[-1] //= len(self.names)
        wanted = tuple(reversed(shape)) if self.is_kernel else tuple(shape)
        return dict.fromkeys(self.names, wanted)


def bindings(mpnet: MPNetEncoder) -> list[Binding]:
    """Returns a binding for every variable of the encoder."""
    found = [
        Binding(mpnet.word_embeddings, ("embeddings.word_embeddings.weight",)),
        Binding(mpnet.position_embeddings, ("embeddings.position_embeddings.weight",)),
        Binding(mpnet.relative_bias.table, ("encoder.relative_attention_bias.weight",)),
    ]

    def norm(layer, name: str) -> None:
        found.append(Binding(layer.gamma, (f"{name}.weight",)))
        found.append(Binding(layer.beta, (f"{name}.bias",)))

    def dense(layer, *names: str) -> None:
        found.append(Binding(layer.kernel, tuple(f"{name}.weight" for name in names), True))
        found.append(Binding(layer.bias, tuple(f"{name}.bias" for name in names)))

    norm(mpnet.embeddings_norm, "embeddings.LayerNorm")
    for index, layer in enumerate(mpnet.layers):
        prefix = f"encoder.layer.{index}."
        attention = f"{prefix}attention.attn."
        dense(layer.attention.qkv, f"{attention}q", f"{attention}k", f"{attention}v")
        dense(layer.attention.output_dense, f"{attention}o")
        norm(layer.attention_norm, f"{prefix}attention.LayerNorm")
        dense(layer.intermediate, f"{prefix}intermediate.dense")
        dense(layer.output_dense, f"{prefix}output.dense")
        norm(layer.output_norm, f"{prefix}output.LayerNorm")
    dense(mpnet.pooler, "pooler.dense")
    return found


def load_huggingface_weights(encoder: SentenceEncoder, folder_or_hub_name: str | Path) -> None:
    """Reads a safetensors checkpoint into an encoder.

    Args:
        encoder: An encoder made with the checkpoint's configuration.
        folder_or_hub_name: A folder with `model.safetensors` (or its sharded
            form), or a name on the Hugging Face hub.

    Raises:
        UserError: There is no such checkpoint, or its tensors are not this model's; the
            message lists the missing, unknown and misshapen ones, and the encoder is
            unchanged.
    """
    folder = resolve_folder(folder_or_hub_name)
    readers = _open_safetensors(folder)
    wanted = bindings(encoder.mpnet)
    shapes = {name: shape for binding in wanted for name, shape in binding.shapes().items()}
    missing = [
        name for name in shapes if name not in readers and not name.startswith(OPTIONAL_PREFIX)
    ]
    unknown = [
        name for name in readers if name not in shapes and not name.startswith(IGNORED_PREFIXES)
    ]
    tensors = {name: readers[name]() for name in shapes if name in readers}
    misshapen = [
        f"{name} {list(tensor.shape)} instead of {list(shapes[name])}"
        for name, tensor in tensors.items()
        if tensor.shape != shapes[name]
    ]
    complaints = [
        f"{len(names)} {kind}: {', '.join(sorted(names))}"
        for kind, names in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if names
    ]
    if complaints:
        raise UserError(f"{folder}: the checkpoint is not this MPNet; " + "; ".join(complaints))
    for binding in wanted:
        if all(name in tensors for name in binding.names):
            binding.variable.assign(binding.to_keras([tensors[name] for name in binding.names]))


def save_huggingface_weights(encoder: SentenceEncoder, folder: str | Path) -> None:
    """Writes `model.safetensors` and `config.json` in the form of `MPNetModel`."""
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {}
    for binding in bindings(encoder.mpnet):
        tensors |= binding.to_huggingface()
    # transformers refuses a file without the name of its framework.
    save_file(
        dict(sorted(tensors.items())),
        str(Path(folder) / "model.safetensors"),
        metadata={"format": "pt"},
    )
    encoder.config.write(folder)


def resolve_folder(folder_or_hub_name: str | Path) -> Path:
    """Returns a model's local folder, downloading it from a bucket or the Hugging Face hub.

    Args:
        folder_or_hub_name: A folder, on any file system of `rejoinder.storage`, or a
            name on the hub.

    Raises:
        UserError: There is no such folder, and no name on the hub that can be downloaded.
    """
    name = str(folder_or_hub_name)
    if not storage.is_local(name):
        return local_folder(name)
    folder = Path(folder_or_hub_name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"{name}: is not a folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(name, allow_patterns=[f"*{ending}" for ending in MODEL_FILES])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name}: is neither a folder nor a model that can be downloaded from the Hugging"
            f" Face hub ({reason}); without network, give the path of a downloaded folder"
        ) from None


def _open_safetensors(folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Returns a reader for each tensor, by its name without the model's prefix."""
    import ml_dtypes  # noqa: F401 - registers bfloat16, of half precision checkpoints, in NumPy
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = [folder / shard for shard in sorted(shards)]
    else:
        files = [folder / "model.safetensors"]
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for file in files:
        if not file.exists():
            raise UserError(
                f"{file}: does not exist; only safetensors are read (pickled checkpoints such as"
                " pytorch_model.bin can run code: convert them first)"
            )
        try:
            handle = safe_open(str(file), framework="numpy")
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: is damaged ({error})") from None
        for name in handle.keys():  # noqa: SIM118 - not a dictionary
            readers[name.removeprefix(MODEL_PREFIX)] = functools.partial(handle.get_tensor, name)
    return readers
