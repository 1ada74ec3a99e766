"""Pairs to the bytes of shards."""
