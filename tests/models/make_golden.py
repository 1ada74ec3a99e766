"""Makes `golden/`: a tiny random MPNet and what Hugging Face's implementation computes with it.

    python tests/models/make_golden.py

Needs torch and transformers (`make setup-parity`). The files are committed, so
that the tests need neither.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import MPNetConfig, MPNetForMaskedLM

GOLDEN = Path(__file__).parent / "golden"
PAD = 1


def main() -> None:
    """Writes the checkpoint in the form of a masked language model's, and the results."""
    torch.manual_seed(20)
    config = MPNetConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=152,
        layer_norm_eps=1e-5,
        # Large weights, because with the usual 0.02 a wrong bias or norm changes little.
        initializer_range=0.5,
    )
    model = MPNetForMaskedLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    rng = np.random.default_rng(20)
    # Lengths below and above the maximum distance of the relative bias, 128.
    lengths = [3, 4, 9, 20, 150]
    token_ids = np.full([len(lengths), max(lengths)], PAD, np.int64)
    for row, length in zip(token_ids, lengths, strict=True):
        row[:length] = [0, *rng.integers(3, 39, length - 2), 2]
    ids = torch.tensor(token_ids)
    mask = ids != PAD
    with torch.no_grad():
        hidden = model.mpnet(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        real = mask[:, :, None].float()
        pooled = (hidden * real).sum(1) / real.sum(1)
        embedding = torch.nn.functional.normalize(pooled, dim=-1)
    GOLDEN.mkdir(exist_ok=True)
    config.save_pretrained(GOLDEN)
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    # Tied to the word embeddings; safetensors stores each tensor once.
    tensors.pop("lm_head.decoder.weight", None)
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, GOLDEN / "model.safetensors", metadata={"format": "pt"})
    results = {
        "token_ids": token_ids.astype(np.int32),
        "hidden": hidden[mask].numpy(),
        "embedding": embedding.numpy(),
    }
    save_file(results, GOLDEN / "results.safetensors")


if __name__ == "__main__":
    main()
