"""Loaded model versions, and the batches that run on them."""
