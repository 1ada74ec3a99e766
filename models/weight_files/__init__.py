"""Reads the tensors of a checkpoint: safetensors, and torch's files without torch."""

from rejoinder.models.weight_files.open_weights import open_weights as open_weights
from rejoinder.models.weight_files.stored_tensor import StoredTensor as StoredTensor
