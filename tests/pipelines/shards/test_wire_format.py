"""The encoder's bytes equal those of protobuf, and TensorFlow reads them."""

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rejoinder.corpus.varint import encode_varints
from rejoinder.pipelines.shards import wire_format


def expected(features: dict) -> bytes:
    example = tf.train.Example()
    for name, value in features.items():
        if isinstance(value, bytes):
            example.features.feature[name].bytes_list.value.append(value)
        else:
            example.features.feature[name].int64_list.value.extend(value)
    return example.SerializeToString(deterministic=True)


def encode(*features: pa.LargeBinaryArray) -> list[bytes]:
    return wire_format.encode_examples(features).to_pylist()


def test_examples_equal_protobufs_deterministic_bytes():
    rng = np.random.default_rng(0)
    lengths = [0, 1, 2, 40, 126, 128, 600]
    ids = [rng.integers(0, 1 << 22, n) for n in lengths]
    ids[1][0] = 0
    splits = np.concatenate([[0], np.cumsum(lengths)])
    packed = encode_varints(np.concatenate(ids), splits)
    ids_feature = wire_format.ids_feature("context_ids", packed)
    for record, values in zip(encode(ids_feature), ids, strict=True):
        if len(values):  # protobuf leaves an empty packed list out
            assert record == expected({"context_ids": values})
    texts = ["", "a", "é" * 63, "x" * 127, "y" * 128, "z" * 20_000, "😀"]
    text_feature = wire_format.bytes_feature("context", pa.array(texts))
    for record, text in zip(encode(text_feature), texts, strict=True):
        assert record == expected({"context": text.encode()})
    both = encode(text_feature, ids_feature)
    for record, text, values in zip(both, texts, ids, strict=True):
        decoded = tf.train.Example.FromString(record).features.feature
        assert decoded["context_ids"].int64_list.value == values.tolist()
        assert decoded["context"].bytes_list.value == [text.encode()]


def test_a_null_value_gives_no_feature():
    made = encode(
        wire_format.bytes_feature("a", pa.array(["x", None])),
        wire_format.bytes_feature("b", pa.array(["y", "z"])),
    )
    assert made == [expected({"a": b"x", "b": b"y"}), expected({"b": b"z"})]


def test_no_rows_give_no_examples():
    assert encode(wire_format.bytes_feature("a", pa.array([], pa.string()))) == []
