"""Removes comments from a corpus: its shards, thread state, rejected lines and report."""
