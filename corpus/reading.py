"""Reads the shards of a finished corpus: whole examples, or columns of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from rejoinder import storage
from rejoinder.corpus import tfrecord
from rejoinder.corpus.examples import ExampleReader, NotAnExampleError, Spans
from rejoinder.corpus.features import GUIDES, holds_ids
from rejoinder.corpus.manifest import Shard, load_manifest
from rejoinder.errors import UserError


def read_records(folder: str, shard: Shard) -> Iterator[bytes]:
    """Yields a shard's records, with their checksums compared.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = storage.join(folder, shard.name)
    try:
        yield from tfrecord.read_frames(storage.read_bytes(path))
    except tfrecord.BadRecordError as error:
        raise UserError(f"{path}: {error}; make the corpus again") from error


def read_columns(
    path: str, names: Sequence[str], batch_size: int
) -> Iterator[tuple[ExampleReader, dict[str, Spans]]]:
    """Yields where features lie in a shard, with the records' checksums compared.

    Args:
        path: The shard file.
        names: The features' names.
        batch_size: Examples per batch; the last one may hold fewer.

    Yields:
        The reader that turns spans into values, and the spans by name.

    Raises:
        UserError: The file is missing or damaged, or holds no examples of this project.
    """
    yield from read_columns_of(storage.read_bytes(path), path, names, batch_size)


def read_columns_of(
    data: bytes, path: str, names: Sequence[str], batch_size: int
) -> Iterator[tuple[ExampleReader, dict[str, Spans]]]:
    """Yields what `read_columns` yields, from the bytes of the shard file `path`."""
    reader = ExampleReader(data)
    try:
        bounds = np.array(list(tfrecord.find_records(data)), np.int64).reshape(-1, 2)
        for start in range(0, len(bounds), batch_size):
            begin, end = bounds[start : start + batch_size].T
            yield reader, reader.find(Spans(begin, end), names)
    except tfrecord.BadRecordError as error:
        raise UserError(f"{path}: {error}; make the corpus again") from error
    except NotAnExampleError as error:
        raise UserError(f"{path}: an example {error}; make the corpus again") from error


def decode(record: bytes) -> dict[str, Any]:
    """Returns an example's features: lists of ids, texts, and bytes for vectors of a guide.

    Raises:
        google.protobuf.message.DecodeError: The record is not an example.
        IndexError: A text feature has no value.
        UnicodeDecodeError: A text is not UTF-8.
    """
    feature = _example_class().FromString(record).features.feature
    return {name: _value(name, value) for name, value in feature.items()}


def _value(name: str, feature: Any) -> list[int] | str | bytes:
    if holds_ids(name):
        return list(feature.int64_list.value)
    data: bytes = feature.bytes_list.value[0]
    return data if name in GUIDES else data.decode("utf-8")


def with_features(record: bytes, values: Mapping[str, Sequence[int] | bytes]) -> bytes:
    """Returns an example with further features; they are in alphabetical order again.

    Args:
        record: A serialized example of a corpus.
        values: Token ids or bytes, by the name of their feature.
    """
    example = _example_class().FromString(record)
    for name, value in values.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.int64_list.value.extend(value)
    return bytes(example.SerializeToString(deterministic=True))


def without_features(record: bytes, names: Iterable[str]) -> bytes:
    """Returns an example without some features; those that it lacks are ignored.

    Args:
        record: A serialized example of a corpus.
        names: Names of features.
    """
    example = _example_class().FromString(record)
    for name in names:
        example.features.feature.pop(name, None)
    return bytes(example.SerializeToString(deterministic=True))


def read_examples(folder: str, split: str) -> Iterator[dict[str, Any]]:
    """Yields the decoded examples of a split in order.

    Raises:
        UserError: There is no finished corpus, or a shard is damaged.
    """
    for shard in load_manifest(folder).splits[split]:
        for record in read_records(folder, shard):
            yield decode(record)


@cache
def _example_class() -> Any:
    """Returns the message class of `tf.train.Example`, whose own import needs TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    file = text_format.Parse(_EXAMPLE_PROTO, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("rejoinder.Example"))


# The parts of tensorflow/core/example/{example,feature}.proto that a corpus uses.
_EXAMPLE_PROTO = """
name: "rejoinder/example.proto" package: "rejoinder" syntax: "proto3"
message_type { name: "BytesList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature"
  field { name: "bytes_list" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".rejoinder.BytesList" }
  field { name: "int64_list" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".rejoinder.Int64List" } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: ".rejoinder.Features.FeatureEntry" }
  nested_type { name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: ".rejoinder.Feature" } } }
message_type { name: "Example"
  field { name: "features" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".rejoinder.Features" } }
"""
