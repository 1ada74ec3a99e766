"""Ships tokenizer files to Beam workers: the command reads them once, each worker loads them."""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.tokenizer.spec import parse_spec
from rejoinder.pipelines.shards.encode import Tokenize

if TYPE_CHECKING:
    from rejoinder.models.tokenizer import Tokenizer

TokenizerFiles = tuple[tuple[str, bytes], ...]  # name and content

# The files that `rejoinder.models.tokenizer` reads; others in a model folder may be gigabytes.
_REQUIRED = "tokenizer.json"
_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "config.json")
# Limits the memory of the tokenizer's intermediate tensors; larger is not faster.
_BATCH_TEXTS = 32_768


def read_files(tokenizer: str) -> TokenizerFiles:
    """Reads the tokenizer's files.

    Args:
        tokenizer: A folder that `rejoinder.storage` reads, or a model's name on the hub.

    Raises:
        UserError: There is no tokenizer, or it is not one that this project can read.
    """
    files = _read(tokenizer)
    for name, content in files:
        try:
            content.decode()
        except UnicodeDecodeError:
            path = storage.join(tokenizer, name)
            raise UserError(f"{path}: is not UTF-8; copy the tokenizer again") from None
    parse_spec(dict(files), tokenizer)
    return files


def _read(tokenizer: str) -> TokenizerFiles:
    if not tokenizer:
        raise UserError("--tokenizer: is empty; give a folder or a hub name")
    if not storage.is_local(tokenizer) or os.path.isdir(tokenizer):
        names = [
            name
            for name in (_REQUIRED, *_OPTIONAL)
            if storage.exists(storage.join(tokenizer, name))
        ]
        if _REQUIRED not in names:
            raise UserError(
                f"{tokenizer}: holds no {_REQUIRED}; give the folder of a fast Hugging Face "
                "tokenizer"
            )
        return tuple((name, storage.read_bytes(storage.join(tokenizer, name))) for name in names)
    return _download(tokenizer)


def _download(name: str) -> TokenizerFiles:
    from transformers.utils import cached_file

    found = []
    for file in (_REQUIRED, *_OPTIONAL):
        try:
            path = cached_file(name, file, _raise_exceptions_for_missing_entries=file == _REQUIRED)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{name}: is not a folder, and the hub does not give its tokenizer "
                f"({str(error).splitlines()[0]}); give --tokenizer a local tokenizer folder"
            ) from error
        if path is not None:
            with open(path, "rb") as content:
                found.append((file, content.read()))
    return tuple(found)


@lru_cache(maxsize=2)
def load(files: TokenizerFiles) -> "Tokenizer":
    """Loads the tokenizer, once per process."""
    from rejoinder.models.tokenizer import Tokenizer

    return Tokenizer(parse_spec(dict(files), "tokenizer"))


@lru_cache(maxsize=2)
def tokenize_function(files: TokenizerFiles, max_length: int) -> Tokenize:
    """Returns the tokenizer as a function of lists, traced once per process."""
    import tensorflow as tf

    tokenizer = load(files)
    graph = tf.function(
        lambda texts: tokenizer(texts, max_length).ids,
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,  # nothing to translate, and looking for it takes most of the tracing
    )

    def tokenize(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        values, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for start in range(0, len(texts), _BATCH_TEXTS):
            batch = texts[start : start + _BATCH_TEXTS]
            ids = graph(tf.constant(batch, tf.string, [len(batch)]))
            values.append(ids.flat_values.numpy())
            lengths.append(ids.row_lengths().numpy())
        row_splits = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        return np.concatenate(values), row_splits.astype(np.int64)

    return tokenize
