"""Ships tokenizer files to Beam workers: the command reads them once, each worker loads them."""

import json
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.folder_settings import MODULES_FILE, transformer_path
from rejoinder.models.tokenizer.spec import parse_spec
from rejoinder.pipelines.job import heavy_imports
from rejoinder.pipelines.shards.encode import Tokenize

if TYPE_CHECKING:
    from rejoinder.models.tokenizer import Tokenizer

TokenizerFiles = tuple[tuple[str, bytes], ...]  # name and content
_Read = Callable[[str], bytes | None]  # content of a file by its name, None if it is missing

# The files that `rejoinder.models.tokenizer` reads; others in a model folder may be gigabytes.
_REQUIRED = "tokenizer.json"
_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "config.json")
# Folder of the files in a staging folder.
_FOLDER = "tokenizer"
# Limits the memory of the tokenizer's intermediate tensors; larger is not faster.
_BATCH_TEXTS = 32_768


def read_files(tokenizer: str) -> TokenizerFiles:
    """Reads the tokenizer's files.

    Args:
        tokenizer: A folder that `rejoinder.storage` reads, or a model's name on the hub. Old
            sentence-transformers folders, in which `modules.json` names `0_Transformer`, are
            read too.

    Raises:
        UserError: There is no tokenizer, or it is not one that this project can read.
    """
    if not tokenizer:
        raise UserError("--tokenizer: is empty; give a folder or a hub name")
    is_folder = not storage.is_local(tokenizer) or os.path.isdir(tokenizer)
    read = _folder_reader(tokenizer) if is_folder else _hub_reader(tokenizer)
    below = ""
    if read(_REQUIRED) is None:
        below = _transformer_path(storage.join(tokenizer, MODULES_FILE), read(MODULES_FILE))
    named = ((name, read(storage.join(below, name))) for name in (_REQUIRED, *_OPTIONAL))
    files = tuple((name, content) for name, content in named if content is not None)
    folder = storage.join(tokenizer, below)
    if _REQUIRED not in dict(files):
        raise UserError(
            f"{folder}: holds no {_REQUIRED}; give the folder of a fast Hugging Face tokenizer"
        )
    for name, content in files:
        try:
            content.decode()
        except UnicodeDecodeError:
            path = storage.join(folder, name)
            raise UserError(f"{path}: is not UTF-8; copy the tokenizer again") from None
    parse_spec(dict(files), folder)
    return files


def _transformer_path(source: str, modules: bytes | None) -> str:
    """Returns where an old sentence-transformers folder has its tokenizer; empty for others."""
    if modules is None:
        return ""
    try:
        return transformer_path(source, json.loads(modules))
    except ValueError as error:
        raise UserError(f"{source}: cannot be read as JSON ({error})") from None


def _folder_reader(folder: str) -> _Read:
    def read(name: str) -> bytes | None:
        path = storage.join(folder, name)
        return storage.read_bytes(path) if storage.exists(path) else None

    return read


def _hub_reader(model: str) -> _Read:
    from transformers.utils import cached_file

    def read(name: str) -> bytes | None:
        try:
            path = cached_file(model, name, _raise_exceptions_for_missing_entries=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{model}: is not a folder, and the hub does not give its tokenizer "
                f"({str(error).splitlines()[0]}); give --tokenizer a local tokenizer folder"
            ) from error
        return None if path is None else Path(path).read_bytes()

    return read


def store(staging: str, files: TokenizerFiles) -> None:
    """Writes the files to a local staging folder, for `stored`.

    Beam would compress them twice on their way to workers on the same disk.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    storage.make_folder(os.path.join(staging, _FOLDER))
    for name, content in files:
        storage.write_bytes(os.path.join(staging, _FOLDER, name), content)


def stored(staging: str) -> TokenizerFiles:
    """Reads what `store` has written.

    Raises:
        UserError: A file cannot be read.
    """
    folder = os.path.join(staging, _FOLDER)
    names = (name for name in (_REQUIRED, *_OPTIONAL) if storage.exists(f"{folder}/{name}"))
    return tuple((name, storage.read_bytes(os.path.join(folder, name))) for name in names)


@lru_cache(maxsize=2)
def load(files: TokenizerFiles) -> "Tokenizer":
    """Loads the tokenizer, once per process."""
    from rejoinder.models.tokenizer import Tokenizer

    return Tokenizer(parse_spec(dict(files), "tokenizer"))


@lru_cache(maxsize=2)
def tokenize_function(files: TokenizerFiles, max_length: int) -> Tokenize:
    """Returns the tokenizer as a function of lists, traced once per process."""
    with heavy_imports.uncollected():
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
