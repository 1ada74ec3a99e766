"""Embeds a context, its reply and a stranger's reply through an exported SavedModel.

Nothing of the project is needed to use an export: this loads it with TensorFlow
and TensorFlow Text alone, as TensorFlow Serving does.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops of the tokenizer

from rejoinder.cli import run
from rejoinder.corpus.features import CONTEXT, RESPONSE, THREAD_ID
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError


def newest_version(export: Path) -> Path:
    """Returns the highest-numbered version folder of an export, as TensorFlow Serving picks it."""
    versions = [path for path in export.glob("*") if path.is_dir() and path.name.isdigit()]
    if not versions:
        raise UserError(f"{export}: holds no exported version; run `make export EXPORT={export}`")
    return max(versions, key=lambda path: int(path.name))


def two_test_pairs(corpus: Path) -> tuple[str, str, str]:
    """Returns a test pair's context and response, and a response from another thread.

    Raises:
        UserError: the test split holds fewer than two threads.
    """
    shards = [str(corpus / shard.name) for shard in load_manifest(str(corpus)).splits["test"]]
    features = {
        name: tf.io.FixedLenFeature([], tf.string) for name in (CONTEXT, RESPONSE, THREAD_ID)
    }
    first = None
    for record in tf.data.TFRecordDataset(shards):
        pair = {
            name: value.numpy().decode()
            for name, value in tf.io.parse_single_example(record, features).items()
        }
        if first is None:
            first = pair
        elif pair[THREAD_ID] != first[THREAD_ID]:
            return first[CONTEXT], first[RESPONSE], pair[RESPONSE]
    raise UserError(f"{corpus}: the test split has fewer than two threads; give a larger dump")


def main() -> None:
    """Command line: prints the cosine similarity of each pair of the three sentences."""
    parser = argparse.ArgumentParser(
        prog="python -m rejoinder.quickstart.similarity",
        description="Compare sentences through an export.",
    )
    parser.add_argument("--export", type=Path, required=True, help="folder of exported versions")
    parser.add_argument("--data", type=Path, required=True, help="corpus with a test split")
    arguments = parser.parse_args()
    context, reply, other = two_test_pairs(arguments.data)
    model = tf.saved_model.load(str(newest_version(arguments.export)))
    contexts = model.signatures["encode_context"](tf.constant([context]))["embedding"].numpy()
    responses = model.signatures["encode_response"](tf.constant([reply, other]))[
        "embedding"
    ].numpy()
    scores = np.squeeze(contexts @ responses.T, 0)
    print(f"\n  context                  {context}")
    for name, text, score in (("its reply", reply, scores[0]), ("a stranger's", other, scores[1])):
        print(f"  {name:<14} cos {score:5.2f}  {text}")


if __name__ == "__main__":
    run(main)
