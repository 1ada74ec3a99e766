"""Converts weights exactly between Hugging Face's tensors and the Keras variables.

Tensors that are missing, unknown, of another shape or of another type are one error that
lists all of them.
"""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.local_folder import MODEL_FILES, local_folder
from rejoinder.models.mpnet import MPNetEncoder
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.weight_files import open_weights
from rejoinder.models.weight_files.open_weights import TORCH_FILES
from rejoinder.models.weight_files.stored_tensor import FLOAT_TYPES

# Tensors of a checkpoint that a sentence encoder does not use: the masked language
# model's head, and position numbers that old versions stored.
IGNORED_PREFIXES = ("lm_head.", "embeddings.position_ids")
# A masked language model's checkpoint puts this before every name of the encoder.
MODEL_PREFIX = "mpnet."
# Not part of the sentence encoder, so a checkpoint without them is complete.
OPTIONAL_PREFIX = "pooler."
# peft writes it beside the weights of an adapter.
ADAPTER_FILE = "adapter_config.json"


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
    """Reads a checkpoint into an encoder.

    Args:
        encoder: An encoder made with the checkpoint's configuration.
        folder_or_hub_name: A folder with `model.safetensors` or `pytorch_model.bin`
            (whole or in shards), or a name on the Hugging Face hub.

    Raises:
        UserError: There is no such checkpoint, or its tensors are not this model's; the
            message lists the missing, unknown and misshapen ones, and the encoder is
            unchanged.
    """
    folder = resolve_folder(folder_or_hub_name)
    if (folder / ADAPTER_FILE).exists():
        raise UserError(
            f"{folder / ADAPTER_FILE}: the folder holds an adapter, which is not supported; merge"
            " it into the model with peft's merge_and_unload and save the result"
        )
    stored = {
        name.removeprefix(MODEL_PREFIX): tensor for name, tensor in open_weights(folder).items()
    }
    wanted = bindings(encoder.mpnet)
    shapes = {name: shape for binding in wanted for name, shape in binding.shapes().items()}
    missing = [
        name for name in shapes if name not in stored and not name.startswith(OPTIONAL_PREFIX)
    ]
    unknown = [
        name for name in stored if name not in shapes and not name.startswith(IGNORED_PREFIXES)
    ]
    used = {name: stored[name] for name in shapes if name in stored}
    misshapen = [
        f"{name} {list(tensor.shape)} instead of {list(shapes[name])}"
        for name, tensor in used.items()
        if tensor.shape != shapes[name]
    ]
    quantized = [
        f"{name} {tensor.dtype}" for name, tensor in used.items() if tensor.dtype not in FLOAT_TYPES
    ]
    _refuse(
        folder,
        {
            "missing": missing,
            "unknown": unknown,
            "misshapen": misshapen,
            "quantized": quantized,
        },
    )
    tensors = {name: tensor.read() for name, tensor in used.items()}
    _refuse(folder, {"with NaN or infinite numbers": _not_finite(tensors)})
    for binding in wanted:
        if all(name in tensors for name in binding.names):
            binding.variable.assign(binding.to_keras([tensors[name] for name in binding.names]))


def _refuse(folder: Path, wrong: dict[str, list[str]]) -> None:
    """Raises one error for all tensors that are wrong, by what is wrong with them."""
    complaints = [
        f"{len(names)} {kind}: {', '.join(sorted(names))}" for kind, names in wrong.items() if names
    ]
    if complaints:
        raise UserError(f"{folder}: the checkpoint is not this MPNet; " + "; ".join(complaints))


def _not_finite(tensors: dict[str, np.ndarray]) -> list[str]:
    # A sum is infinite or NaN if a number is; it needs no array of booleans.
    return [
        name
        for name, tensor in tensors.items()
        if not np.isfinite(np.sum(tensor, dtype=np.float64))
    ]


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
        patterns = [f"*{ending}" for ending in MODEL_FILES]
        found = Path(snapshot_download(name, allow_patterns=patterns))
        if not any(found.rglob("*.safetensors")):
            # Only now, because a model often has both, and the file is large.
            found = Path(snapshot_download(name, allow_patterns=[*patterns, f"*{TORCH_FILES}"]))
        return found
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name}: is neither a folder nor a model that can be downloaded from the Hugging"
            f" Face hub ({reason}); without network, give the path of a downloaded folder"
        ) from None
