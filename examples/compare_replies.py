"""Compares a comment with its reply and with a reply to another comment, through an export.

    python examples/compare_replies.py --export out/export/encoder --corpus out/corpus
    python examples/compare_replies.py --export out/export/encoder "a comment" "its reply" "another"

Needs TensorFlow and TensorFlow Text only: an export holds its own tokenizer, so
any program that loads SavedModels can use it.
"""

import argparse
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokenizer's operations


def newest_version(export: Path) -> Path:
    """Returns the version folder with the highest number, as TensorFlow Serving does."""
    versions = [path for path in export.glob("*") if path.is_dir() and path.name.isdigit()]
    if not versions:
        sys.exit(f"error: {export}: holds no exported version; run `rejoinder export` first")
    return max(versions, key=lambda path: int(path.name))


def texts_of_two_threads(corpus: Path) -> tuple[str, str, str]:
    """Returns a test pair's context and response, and a response from another thread."""
    shards = sorted(map(str, corpus.glob("test.tfrecord-*")))
    if not shards:
        sys.exit(f"error: {corpus}: holds no test.tfrecord-* files; name a corpus folder")
    text = tf.io.FixedLenFeature([], tf.string)
    features = {"context": text, "response": text, "thread_id": text}
    first = None
    for record in tf.data.TFRecordDataset(shards):
        pair = {
            name: value.numpy().decode()
            for name, value in tf.io.parse_single_example(record, features).items()
        }
        first = first or pair
        if pair["thread_id"] != first["thread_id"]:
            return first["context"], first["response"], pair["response"]
    sys.exit(f"error: {corpus}: the test split has fewer than two threads; use a larger dump")


def main() -> None:
    """Prints the cosine similarity of a context with two responses."""
    parser = argparse.ArgumentParser(description="Compare replies to a comment.")
    parser.add_argument("--export", type=Path, required=True, help="folder of exported versions")
    parser.add_argument("--corpus", type=Path, help="take the texts from a corpus' test split")
    parser.add_argument("texts", nargs="*", help="a context, its reply, a reply to another comment")
    arguments = parser.parse_args()
    if arguments.corpus:
        context, reply, other = texts_of_two_threads(arguments.corpus)
    elif len(arguments.texts) == 3:
        context, reply, other = arguments.texts
    else:
        parser.error("give --corpus, or a context and two replies")

    model = tf.saved_model.load(str(newest_version(arguments.export)))
    contexts = model.signatures["encode_context"](tf.constant([context]))["embedding"]
    responses = model.signatures["encode_response"](tf.constant([reply, other]))["embedding"]
    # Embeddings have unit length: the dot product is the cosine.
    cosines = tf.matmul(responses, contexts, transpose_b=True)[:, 0].numpy()
    print(f"  context                  {context}")
    print(f"  its reply      cos {cosines[0]:5.2f}  {reply}")
    print(f"  a stranger's   cos {cosines[1]:5.2f}  {other}")


if __name__ == "__main__":
    main()
