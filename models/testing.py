"""An MPNet for tests: its random weights give embeddings that differ clearly between texts."""

from typing import Any

from rejoinder.models.mpnet import MPNetConfig


def tiny_config(vocab_size: int, **changes: Any) -> MPNetConfig:
    """Returns a configuration of two layers of 16 numbers, for sentences of up to 64 tokens.

    Args:
        vocab_size: Number of token ids.
        changes: Other values of `MPNetConfig`.
    """
    values = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 66,
        "initializer_range": 0.5,
    }
    return MPNetConfig(vocab_size=vocab_size, **(values | changes))
