"""Pairs to the bytes of shards, and back."""
