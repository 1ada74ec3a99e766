"""Reads `tf.train.Example` records in columns, without TensorFlow.

Format: https://protobuf.dev/programming-guides/encoding/ of
tensorflow/core/example/{example,feature}.proto. NumPy finds a feature in many
records at once, because a message object per record takes longer than all other
work on it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rejoinder.corpus.varint import decode_varints, ranges

# Tags, field number << 3 | length-delimited: the first and second field of a message,
# and the two kinds of a Feature.
_FIRST, _SECOND = 0x0A, 0x12
_BYTES_LIST, _INT64_LIST = 0x0A, 0x1A
_MAX_VARINT_BYTES = 5  # of a length

Offsets = NDArray[np.int64]


class NotAnExampleError(ValueError):
    """A record is not an Example whose features hold one bytes value or packed ids each."""


class Spans(NamedTuple):
    """Where a feature's value lies in each record; begin == end where a record lacks it.

    Attributes:
        begin: int64 [n], offset of the first byte.
        end: int64 [n], offset of the byte after the last one.
    """

    begin: Offsets
    end: Offsets


class ExampleReader:
    """Reads features of Examples that lie in one buffer."""

    def __init__(self, data: bytes) -> None:
        """Makes a reader.

        Args:
            data: A buffer with records in it, such as a TFRecord file.
        """
        self._data = data
        self._bytes = np.frombuffer(data, np.uint8)

    def find(self, records: Spans, names: Sequence[str]) -> dict[str, Spans]:
        """Finds features in records.

        Args:
            records: Where the n records lie.
            names: The features' names.

        Returns:
            The n spans of each feature, by name.

        Raises:
            NotAnExampleError: A record has another form.
        """
        found = {name: _empty(len(records.begin)) for name in names}
        for rows, key, value in self._entries(records):
            key_bytes = key.end - key.begin
            for name, spans in found.items():
                wanted = np.frombuffer(name.encode(), np.uint8)
                same = np.flatnonzero(key_bytes == len(wanted))
                letters = self._at(key.begin[same, None] + np.arange(len(wanted)))
                same = same[(letters == wanted).all(axis=1)]
                spans.begin[rows[same]] = value.begin[same]
                spans.end[rows[same]] = value.end[same]
        return found

    def texts(self, spans: Spans) -> list[str]:
        """Returns the n values of a bytes feature, "" where a record lacks it."""
        data = self._data
        pairs = zip(spans.begin.tolist(), spans.end.tolist(), strict=True)
        return [data[begin:end].decode() for begin, end in pairs]

    def rows(self, spans: Spans) -> NDArray[np.uint8]:
        """Returns the values of a bytes feature that all have the same length, uint8 [n, length].

        Raises:
            NotAnExampleError: They have not.
        """
        lengths = spans.end - spans.begin
        if len(lengths) and (lengths != lengths[0]).any():
            raise NotAnExampleError("has a vector of another length than the others")
        width = int(lengths[0]) if len(lengths) else 0
        return self._bytes[spans.begin[:, None] + np.arange(width)]

    def raw(self, spans: Spans) -> tuple[NDArray[np.uint8], Offsets]:
        """Returns the bytes of a bytes feature, uint8 [m], and row_splits int64 [n + 1]."""
        lengths = np.concatenate([[0], spans.end - spans.begin])
        return self._bytes[ranges(spans.begin, spans.end)], np.cumsum(lengths)

    def ids(self, spans: Spans) -> tuple[NDArray[np.int64], Offsets]:
        """Returns the values of an int64 feature, int64 [m], and row_splits int64 [n + 1]."""
        return decode_varints(self._bytes, spans.begin, spans.end)

    def _entries(self, records: Spans) -> Iterator[tuple[Offsets, Spans, Spans]]:
        """Yields the first feature of each record, then the second, …: rows, names, values."""
        features = self._field(records.begin, records.end, (_FIRST,))
        if (features.end != records.end).any():
            raise NotAnExampleError("has bytes after its features")
        at = features.begin.copy()
        while len(rows := np.flatnonzero(at < features.end)):
            entry = self._field(at[rows], features.end[rows], (_FIRST,))
            key = self._field(entry.begin, entry.end, (_FIRST,))
            feature = self._field(key.end, entry.end, (_SECOND,))
            values = self._field(*feature, (_BYTES_LIST, _INT64_LIST))
            value = self._field(*values, (_FIRST,))
            if (value.end != entry.end).any():
                raise NotAnExampleError("has a feature with several values")
            yield rows, key, value
            at[rows] = entry.end

    def _field(self, at: Offsets, stop: Offsets, tags: Sequence[int]) -> Spans:
        """Returns the payload of the field at `at`; an empty message has an empty first field."""
        present = at < stop
        tag = self._at(at)
        if not np.logical_or.reduce([~present, *(tag == one for one in tags)]).all():
            raise NotAnExampleError(f"has an unexpected field, not one of {tags}")
        size = np.zeros_like(at)
        position = at + 1
        more = present
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            byte = self._at(position).astype(np.int64)
            size += np.where(more, (byte & 0x7F) << shift, 0)
            position += more
            more = more & (byte > 0x7F)
            if not more.any():
                break
        begin = np.where(present, position, stop)
        end = begin + size
        if more.any() or (end > stop).any():
            raise NotAnExampleError("has a field that is longer than its message")
        return Spans(begin, end)

    def _at(self, positions: Offsets) -> NDArray[np.uint8]:
        # A truncated message may point behind the buffer; the caller's check finds that.
        return self._bytes.take(positions, mode="clip")


def _empty(count: int) -> Spans:
    return Spans(np.zeros(count, np.int64), np.zeros(count, np.int64))
