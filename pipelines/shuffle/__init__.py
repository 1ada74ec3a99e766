"""The shuffle: hashes, partitions by thread, and duplicates of the whole corpus."""
