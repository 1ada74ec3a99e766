"""Embedding, search, clustering and similarity of texts, with any encoder.

- `rejoinder embed` embeds texts into Parquet shards.
- `rejoinder search` builds an index and searches it.
- `rejoinder cluster` groups the texts of an index.
- `rejoinder similarity` compares a few texts with each other.
"""

if __name__ != "rejoinder.retrieval":
    raise ImportError("import rejoinder.retrieval, not retrieval")
