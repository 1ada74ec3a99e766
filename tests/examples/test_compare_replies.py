import re
import sys

import pytest
import tensorflow as tf

from rejoinder.corpus.features import CONTEXT, RESPONSE, THREAD_ID
from rejoinder.corpus.naming import shard_name


@pytest.fixture
def without_rejoinder(monkeypatch):
    """Makes `import rejoinder` fail, as on a machine that has only TensorFlow."""
    for name in [name for name in sys.modules if name.split(".")[0] == "rejoinder"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rejoinder", None)


def cosines(printed):
    return [float(number) for number in re.findall(r"cos +(-?\d+\.\d+)", printed)]


def write_test_split(corpus, pairs):
    with tf.io.TFRecordWriter(str(corpus / shard_name("test", 0, 1))) as writer:
        for context, response, thread in pairs:
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
                for name, text in ((CONTEXT, context), (RESPONSE, response), (THREAD_ID, thread))
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def test_given_texts_are_compared_without_rejoinder(run_example, tiny_export, without_rejoinder):
    printed = run_example(
        "compare_replies.py", "--export", tiny_export, "cats eat fish", "cats eat mice", "pay taxes"
    )
    reply, other = cosines(printed)
    assert reply > 0.5 > other


def test_a_corpus_gives_a_pair_and_a_response_of_another_thread(
    run_example, tiny_export, tmp_path, without_rejoinder
):
    write_test_split(
        tmp_path,
        [
            ("cats eat fish", "cats eat mice", "thread1"),
            ("cats eat fish", "cats sleep", "thread1"),
            ("when is it due", "pay taxes", "thread2"),
        ],
    )
    printed = run_example("compare_replies.py", "--export", tiny_export, "--corpus", tmp_path)
    reply, other = cosines(printed)
    assert reply > 0.5 > other
    assert "cats eat mice" in printed
    assert "pay taxes" in printed


def test_the_version_with_the_highest_number_is_used(run_example, tmp_path):
    for version in ("9", "10"):
        (tmp_path / version).mkdir()
    with pytest.raises(OSError, match="/10"):
        run_example("compare_replies.py", "--export", tmp_path, "a", "b", "c")


@pytest.mark.parametrize("missing", ["export", "corpus"])
def test_a_folder_without_the_files_is_named_in_the_error(
    run_example, tiny_export, tmp_path, missing
):
    arguments = {
        "export": ["--export", tmp_path, "a", "b", "c"],
        "corpus": ["--export", tiny_export, "--corpus", tmp_path],
    }
    with pytest.raises(SystemExit) as stopped:
        run_example("compare_replies.py", *arguments[missing])
    assert str(stopped.value).startswith(f"error: {tmp_path}: holds no")
