"""The shuffle: hashing, partitioning by thread, and finding duplicate pairs."""
