"""The hyperparameters of an MPNet, in the form of Hugging Face's `config.json`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError

# The position id of a text's first token: Hugging Face's MPNet starts after padding
# id 1, whatever padding id the configuration has.
POSITION_OFFSET = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class MPNetConfig:
    """Hyperparameters; the defaults are mpnet-base.

    Attributes:
        vocab_size: Number of token ids.
        hidden_size: Width of the residual stream, a multiple of the heads.
        num_hidden_layers: Number of transformer layers.
        num_attention_heads: Attention heads per layer.
        intermediate_size: Width of the feed-forward layer.
        hidden_dropout_prob: Dropout on embeddings and layer outputs, [0, 1).
        attention_probs_dropout_prob: Dropout on attention weights, [0, 1).
        max_position_embeddings: Rows of the position table; a text may have two
            fewer tokens, because positions start after the padding id.
        relative_attention_num_buckets: Rows of the relative bias table, even.
        layer_norm_eps: Added to the variance in layer normalization.
        initializer_range: Standard deviation of the initial weights.
        pad_token_id: Id that fills rows.
        bos_token_id: Id before every text.
        eos_token_id: Id after every text.
    """

    vocab_size: int = 30527
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 514
    relative_attention_num_buckets: int = 32
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2

    def __post_init__(self):
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, got {self.hidden_size}"
                f" and {self.num_attention_heads}"
            )
        if self.relative_attention_num_buckets % 2:
            raise ValueError(
                "relative_attention_num_buckets must be even, got"
                f" {self.relative_attention_num_buckets}"
            )

    @property
    def max_length(self) -> int:
        """The longest text in tokens that the position table covers."""
        return self.max_position_embeddings - POSITION_OFFSET

    def to_dict(self) -> dict[str, Any]:
        """Returns the hyperparameters as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MPNetConfig":
        """Makes a configuration of the known keys of a dictionary; others are ignored."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    @classmethod
    def from_folder(cls, folder: str | Path) -> "MPNetConfig":
        """Reads `config.json`.

        Raises:
            UserError: The file is missing or broken, or not an MPNet with erf GELU.
        """
        path = Path(folder) / "config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: does not exist; give a Hugging Face model folder") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({error})") from None
        for key, wanted in (("model_type", "mpnet"), ("hidden_act", "gelu")):
            if values.get(key, wanted) != wanted:
                raise UserError(f"{path}: {key} is {values[key]!r}, must be {wanted!r}")
        if values.get("quantization_config"):
            raise UserError(f"{path}: the weights are quantized; give the folder of the original")
        try:
            return cls.from_dict(values)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None

    def write(self, folder: str | Path) -> None:
        """Writes `config.json` so that `transformers` and TEI read it."""
        values = {
            "architectures": ["MPNetModel"],
            "model_type": "mpnet",
            "hidden_act": "gelu",
            "dtype": "float32",
            **self.to_dict(),
        }
        text = json.dumps(dict(sorted(values.items())), indent=2) + "\n"
        (Path(folder) / "config.json").write_text(text, encoding="utf-8")
