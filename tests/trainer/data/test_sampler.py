"""The batch of a step is a function only of the seed and the step."""

import hashlib
from collections import Counter
from itertools import count, islice

import numpy as np
import pytest

from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.trainer.data.mixture import Mixture
from rejoinder.trainer.data.sampler import DataSet, Sampler
from rejoinder.trainer.data.seeds import permutation
from rejoinder.trainer.data.testing import pair_number, write_corpus

# (data set, pair) of the first three pairs at steps 0, 1 and 12,345.
EXACT = [
    [(1, 104), (1, 117), (1, 88)],
    [(0, 55), (0, 177), (0, 150)],
    [(0, 496), (0, 290), (0, 36)],
]
# Of all pairs of step 12,345.
DIGEST_AT_12_345 = "344dca84d369bb78232b839c16a0c01387dfbd81ffc9ca5e2e2f18e935196ee6"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("corpora")
    first = write_corpus(base / "first", pairs=500, shards=5, seed=1)
    return [first, write_corpus(base / "second", pairs=300, shards=4, seed=2)]


def data_sets(folders):
    return [
        DataSet(folder.name, str(folder), tuple(load_manifest(str(folder)).splits["train"]))
        for folder in folders
    ]


def sampler(folders, weights=(2, 1), batch_size=32, seed=0, **options):
    options = {"window": 150} | options
    return Sampler(
        data_sets(folders), Mixture(weights, seed), batch_size=batch_size, seed=seed, **options
    )


def content(batch) -> list[tuple[int, int]]:
    """Returns (data set, pair number) of each pair of a batch."""
    texts = batch.pairs.context
    return [
        (int(data_set), pair_number(texts.values[texts.splits[i] : texts.splits[i + 1]]))
        for i, data_set in enumerate(batch.data_set)
    ]


@pytest.mark.parametrize("step", [0, 1, 12_345])
@pytest.mark.parametrize("parts", [1, 4, 32])
def test_batch_is_the_same_from_a_fresh_sampler(folders, step, parts):
    used = sampler(folders, datasets_per_batch=parts)
    for earlier in range(3):
        used.batch(earlier)
    fresh = sampler(folders, datasets_per_batch=parts)
    assert content(used.batch(step)) == content(fresh.batch(step))


def test_exact_batches_of_a_seed(folders):
    """A changed order would break every run that is resumed."""
    numbers = [content(sampler(folders).batch(step))[:3] for step in (0, 1, 12_345)]
    assert numbers == EXACT


def replay(folders, weights, batch_size, window, seed):
    """Yields the content of every batch from step 0 on, drawn one after the other."""

    def pairs(data_set):
        for epoch in count():
            members: list[int] = []
            number = 0
            shards = data_set.shards
            order = permutation(len(shards), seed, data_set.name, "shards", epoch).tolist()
            for shard in order:
                members.append(shard)
                held = sum(shards[member].examples for member in members)
                if held >= window or shard == order[-1]:
                    numbers = [
                        first + len(shards) * i
                        for first in sorted(members)
                        for i in range(shards[first].examples)
                    ]
                    name = (seed, data_set.name, "examples", epoch, number)
                    yield from (numbers[i] for i in permutation(held, *name))
                    members, number = [], number + 1

    def draws():
        block = np.repeat(np.arange(len(weights)), Mixture(weights, seed).block)
        for index in count():
            yield from block[permutation(len(block), seed, "mixture", index)].tolist()

    streams = [pairs(data_set) for data_set in data_sets(folders)]
    for drawn in draws():
        yield [(drawn, number) for number in islice(streams[drawn], batch_size)]


def test_distant_batches_equal_those_drawn_one_after_the_other(folders):
    drawn_in_order = replay(folders, (2, 1), 32, 150, 0)
    one = sampler(folders)
    for step, expected in enumerate(islice(drawn_in_order, 12_346)):
        if step in (0, 1, 1_000, 12_345):
            assert content(one.batch(step)) == expected
    digest = hashlib.sha256(repr(expected).encode()).hexdigest()
    assert digest == DIGEST_AT_12_345


def test_seeds_give_different_batches(folders):
    assert content(sampler(folders, seed=1).batch(0)) != content(sampler(folders, seed=2).batch(0))


def test_one_data_set_to_a_batch_and_mixed_batches(folders):
    for step in range(5):
        assert len(set(sampler(folders).batch(step).data_set)) == 1
    mixed = sampler(folders, datasets_per_batch=32).batch(0)
    assert set(mixed.data_set) == {0, 1}


def test_each_epoch_of_each_data_set_holds_every_pair_once(folders):
    one = sampler(folders[:1], weights=(1,), batch_size=20)
    seen = [number for step in range(25) for _, number in content(one.batch(step))]
    assert Counter(seen) == Counter(range(500))


def test_a_batch_can_span_two_epochs(folders):
    one = sampler(folders[:1], weights=(1,), batch_size=32)
    seen = [number for step in range(32) for _, number in content(one.batch(step))]
    assert Counter(seen[:500]) == Counter(range(500))
    assert Counter(seen[500:1000]) == Counter(range(500))


def test_parts_must_divide_the_batch(folders):
    with pytest.raises(UserError, match=r"datasets_per_batch.*got 5"):
        sampler(folders, datasets_per_batch=5)


def test_a_damaged_shard_names_the_file_and_the_byte(tmp_path):
    folder = write_corpus(tmp_path / "damaged", pairs=40, shards=1)
    shard = next(folder.glob("train.*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(
        UserError, match=r"train\.tfrecord-00000-of-00001: wrong data checksum at byte offset \d+"
    ):
        sampler([folder], weights=(1,), batch_size=8).batch(0)


def test_a_missing_shard_names_the_file(tmp_path):
    folder = write_corpus(tmp_path / "missing", pairs=40, shards=1)
    made = sampler([folder], weights=(1,), batch_size=8)
    next(folder.glob("train.*")).unlink()
    with pytest.raises(UserError, match=r"train\.tfrecord-00000-of-00001: shard is missing"):
        made.batch(0)


def test_log_frequency_counts_repeats(folders):
    batch = sampler(folders[:1], weights=(1,), log_frequency=True).batch(0)
    assert batch.pairs.extra["context_log_q"].shape == (32,)
    assert np.all(batch.pairs.extra["context_log_q"] == 0)  # all contexts differ
