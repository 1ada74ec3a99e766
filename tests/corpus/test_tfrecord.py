import pytest
import tensorflow as tf

from rejoinder.corpus import tfrecord


@pytest.mark.parametrize("records", [[], [b""], [b"one", b"", b"x" * 100_000]])
def test_tensorflow_reads_our_frames_and_we_read_its_frames(tmp_path, records):
    path = str(tmp_path / "file")
    data = tfrecord.frame(records)
    assert len(data) == sum(16 + len(record) for record in records)
    with open(path, "wb") as file:
        file.write(data)
    assert list(tf.data.TFRecordDataset(path).as_numpy_iterator()) == records
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    with open(path, "rb") as file:
        assert list(tfrecord.read_frames(file.read())) == records


def test_every_changed_or_missing_byte_is_an_error():
    data = tfrecord.frame([b"first record", b"second"])
    for position in range(len(data)):
        bad = bytearray(data)
        bad[position] ^= 1
        with pytest.raises(tfrecord.BadRecordError, match="at byte offset"):
            list(tfrecord.read_frames(bytes(bad)))
    first = len(tfrecord.frame([b"first record"]))
    for size in set(range(1, len(data))) - {first}:
        with pytest.raises(tfrecord.BadRecordError, match="truncated at byte offset"):
            list(tfrecord.read_frames(data[:size]))
