import contextlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.corpus.examples import ExampleReader, NotAnExampleError, Spans

VALUES = st.one_of(st.text(max_size=200), st.lists(st.integers(0, 2**20), max_size=60))
FEATURES = st.dictionaries(
    st.sampled_from(["context", "context_ids", "contexu", "response", "é", "context/0"]), VALUES
)


def _example(features: dict) -> bytes:
    example = tf.train.Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        else:
            feature.int64_list.value.extend(value)
    return example.SerializeToString()


def _reader(records: list[bytes]) -> tuple[ExampleReader, Spans]:
    lengths = np.array([len(record) for record in records], np.int64)
    begin = 3 + np.cumsum(lengths + 4) - lengths - 4
    return ExampleReader(b"abc" + b"".join(r + b"1234" for r in records)), Spans(
        begin, begin + lengths
    )


@given(st.lists(FEATURES, max_size=6))
def test_features_are_found_as_tensorflow_wrote_them(examples):
    reader, records = _reader([_example(features) for features in examples])
    found = reader.find(records, ["context", "é", "context_ids", "missing"])
    for name in ("context", "é", "missing"):
        texts = [value if isinstance(value := e.get(name), str) else None for e in examples]
        lists = [isinstance(e.get(name), list) for e in examples]
        ours = _where(found[name], lists)
        assert reader.texts(ours) == [text or "" for text in texts]
    texts_there = [isinstance(e.get("context_ids"), str) for e in examples]
    values, splits = reader.ids(_where(found["context_ids"], texts_there))
    expected = [v if isinstance(v := e.get("context_ids"), list) else [] for e in examples]
    assert [part.tolist() for part in np.split(values, splits[1:-1])][: len(examples)] == expected


def _where(spans: Spans, drop: list[bool]) -> Spans:
    """Empties the spans of features of the other kind."""
    return Spans(spans.begin, np.where(np.array(drop, bool), spans.begin, spans.end))


def test_an_example_without_features_has_none():
    reader, records = _reader([_example({}), _example({"context": "a"})])
    assert reader.texts(reader.find(records, ["context"])["context"]) == ["", "a"]


@pytest.mark.parametrize(
    "record",
    [
        b"text",
        b"\x0a\x7f",
        _example({"context": "a"}) + b"\x0a\x00",
        _example({"context": "a"})[:-1],
        tf.train.Example(
            features=tf.train.Features(
                feature={"a": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"1", b"2"]))}
            )
        ).SerializeToString(),
        tf.train.Example(
            features=tf.train.Features(
                feature={"a": tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))}
            )
        ).SerializeToString(),
    ],
    ids=["text", "length", "two messages", "cut", "two values", "floats"],
)
def test_another_record_is_refused(record):
    reader, records = _reader([_example({"context": "a"}), record])
    with pytest.raises(NotAnExampleError):
        reader.find(records, ["context"])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(record):
    reader, records = _reader([record])
    with contextlib.suppress(NotAnExampleError):
        reader.find(records, ["context"])
