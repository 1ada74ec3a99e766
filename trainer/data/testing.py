"""Small synthetic corpora in the on-disk format that `rejoinder.corpus` defines."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rejoinder.corpus import features
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, TOKENIZER_FOLDER, shard_name

VOCABULARY = 200
BOS, PAD, EOS = 0, 1, 2


def write_corpus(
    folder: Path,
    *,
    pairs: int,
    shards: int = 4,
    test_pairs: int = 0,
    seed: int = 0,
    tokenizer: str = "synthetic",
    max_length: int = 32,
    lengths: tuple[int, int] = (4, 20),
) -> Path:
    """Writes a corpus of distinct, learnable pairs.

    The first two ids of a context encode the number of its pair, so a test can
    identify the pairs of a batch (`pair_number`). The response repeats some ids of
    the context.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    splits = {}
    for split, count in (("train", pairs), ("test", test_pairs)):
        examples = [make_pair(number, rng, lengths) for number in range(count)]
        names = [shard_name(split, index, shards) for index in range(shards)] if count else []
        entries = []
        for index, name in enumerate(names):
            own = examples[index::shards]
            path = folder / name
            with tf.io.TFRecordWriter(str(path)) as writer:
                for context, response in own:
                    writer.write(serialize(context, response))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entries.append(Shard(name, len(own), path.stat().st_size, digest))
        splits[split] = entries
    manifest = Manifest(
        name=folder.name,
        splits=splits,
        max_length=max_length,
        tokenizer=tokenizer,
        pad_id=PAD,
        vocab_size=VOCABULARY,
        has_text=[],
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    (folder / COMPLETED).touch()
    return folder


def make_pair(
    number: int, rng: np.random.Generator, lengths: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """Returns context and response ids; the first two ids of the context encode `number`."""
    high, low = divmod(number, 190)
    sizes = rng.integers(*lengths, size=2)
    context = [10 + high, 10 + low, *rng.integers(10, VOCABULARY, sizes[0] - 2)]
    response = [10 + low, *rng.choice(context, sizes[1] - 1)]
    wrap = [[BOS, *map(int, ids), EOS] for ids in (context, response)]
    return wrap[0], wrap[1]


def pair_number(context: NDArray[np.int32]) -> int:
    """Returns the number of the pair that a context belongs to."""
    return int(context[1] - 10) * 190 + int(context[2] - 10)


def serialize(context: list[int], response: list[int]) -> bytes:
    """Returns one pair as a serialized `tf.train.Example`."""
    values = {
        features.CONTEXT_IDS: tf.train.Feature(int64_list=tf.train.Int64List(value=context)),
        features.RESPONSE_IDS: tf.train.Feature(int64_list=tf.train.Int64List(value=response)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=values))
    return bytes(example.SerializeToString())


# Overrides of the default configuration with which a run on such a corpus takes seconds.
TINY_RUN: dict[str, Any] = {
    "task": {
        "model": {
            "max_length": 32,
            "num_hidden_layers": 1,
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        },
        "train_data": {"global_batch_size": 16},
        "validation_data": {"global_batch_size": 20},
    },
    "trainer": {
        "train_steps": 20,
        "optimizer_config": {
            "learning_rate": {"polynomial": {"initial_learning_rate": 1e-2}},
            "warmup": {"linear": {"warmup_steps": 2}},
        },
    },
}


def write_trainable_corpus(folder: Path, **options: Any) -> Path:
    """Writes a corpus with a real tokenizer of `VOCABULARY` entries, ready to train on."""
    import random

    from rejoinder.models.tokenizer import Tokenizer
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(1, 4))) for _ in range(300)]
    texts = (" ".join(rng.choices(words, k=10)) for _ in range(500))
    tokenizer = train_wordpiece(texts, VOCABULARY, folder / TOKENIZER_FOLDER)
    fingerprint = Tokenizer.from_folder(tokenizer).fingerprint
    return write_corpus(folder, tokenizer=fingerprint, **options)
