"""Removes comments from what was made of a corpus: embeddings folders and search indexes."""
