"""Retrieval on top of an encoder: search, clusters and similarity of texts.

python -m serving.search             builds an index and answers queries
python -m serving.search.cluster     groups the texts of an index
python -m serving.search.similarity  compares a few texts with each other
"""
