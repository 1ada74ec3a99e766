"""The tokenizer on its way to the workers: a few small files, read once by the command."""

import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.shards.encode import Tokenize

# What `rejoinder.models.tokenizer` reads; the rest of a model folder may be gigabytes.
_REQUIRED = "tokenizer.json"
# Bounds the memory of the tokenizer's intermediate tensors; larger is not faster.
_TEXTS_AT_ONCE = 32_768
_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "config.json")


def read_files(source: str) -> tuple[tuple[str, bytes], ...]:
    """Returns (name, content) of the tokenizer's files.

    Args:
        source: A folder, local or on any file system of Beam, or a model's name on the hub.

    Raises:
        UserError: there is no tokenizer there.
    """
    if not storage.is_local(source) or os.path.isdir(source):
        names = [
            name for name in (_REQUIRED, *_OPTIONAL) if storage.exists(storage.join(source, name))
        ]
        if _REQUIRED not in names:
            raise UserError(
                f"{source}: holds no {_REQUIRED}; give the folder of a fast Hugging Face tokenizer"
            )
        return tuple((name, storage.read_bytes(storage.join(source, name))) for name in names)
    return _download(source)


def _download(name: str) -> tuple[tuple[str, bytes], ...]:
    from transformers.utils import cached_file

    found = []
    for file in (_REQUIRED, *_OPTIONAL):
        try:
            path = cached_file(name, file, _raise_exceptions_for_missing_entries=file == _REQUIRED)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{name}: is no folder, and its tokenizer cannot be fetched from the hub "
                f"({str(error).splitlines()[0]}); give --tokenizer a local tokenizer folder"
            ) from error
        if path is not None:
            with open(path, "rb") as content:
                found.append((file, content.read()))
    return tuple(found)


@lru_cache(maxsize=2)
def load(files: tuple[tuple[str, bytes], ...]) -> Any:
    """Returns the `rejoinder.models.tokenizer.Tokenizer` of these files, once per process."""
    from rejoinder.models.tokenizer import Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files:
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        return Tokenizer.from_folder(folder)


@lru_cache(maxsize=2)
def tokenize_function(files: tuple[tuple[str, bytes], ...], max_length: int) -> Tokenize:
    """Returns the tokenizer as a function of lists, traced once per process."""
    import tensorflow as tf

    tokenizer = load(files)
    graph = tf.function(
        lambda texts: tokenizer(texts, max_length).ids,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )

    def tokenize(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        values, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            ids = graph(tf.constant(some, tf.string, [len(some)]))
            values.append(ids.flat_values.numpy())
            lengths.append(ids.row_lengths().numpy())
        row_splits = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        return np.concatenate(values), row_splits.astype(np.int64)

    return tokenize
