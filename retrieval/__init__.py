"""Retrieval on top of an encoder: search, clusters and similarity of texts.

rejoinder search             builds an index and answers queries
rejoinder cluster     groups the texts of an index
rejoinder similarity  compares a few texts with each other
"""

if __name__ != "rejoinder.retrieval":
    raise ImportError("import rejoinder.retrieval, not retrieval")
