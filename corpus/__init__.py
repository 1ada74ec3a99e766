"""The on-disk contract between the extraction job and the trainer.

`pipelines` writes what is defined here and `trainer` reads it; neither imports
the other. A corpus is one folder:

    <split>.tfrecord-SSSSS-of-NNNNN   tokenized pairs (see `features`)
    features.json, dataset_info.json  so that TFDS opens the folder
    manifest.json                     inputs, options, counters, checksums (see `manifest`)
    tokenizer/                        files of the tokenizer that made the ids
    COMPLETED                         written last; a folder without it is not a corpus

`embeddings` defines a second kind of folder, which `rejoinder embed` writes.
"""

if __name__ != "rejoinder.corpus":
    raise ImportError("import rejoinder.corpus, not corpus")
