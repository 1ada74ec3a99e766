"""The batch of a step does not depend on the number of hosts; each host takes its rows."""

import json

import numpy as np
import pytest

from rejoinder.trainer.data.corpora import open_corpora
from rejoinder.trainer.data.inputs import Shares, TrainInput, ValidationInput
from rejoinder.trainer.data.testing import TINY_RUN, write_corpus
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config

LAYOUTS = [
    {"layout": "packed"},
    {"layout": "packed", "row_counts": 3},
    {"layout": "padded"},
    {"layout": "bucketed", "bucket_lengths": [16]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a corpus of one shard, which no host could have for itself."""
    path = tmp_path_factory.mktemp("inputs") / "corpus"
    return write_corpus(path, pairs=100, test_pairs=50, shards=1)


def make(kind, folder, shares, **data):
    config = read_config([], "", {"task.train_data.input_path": str(folder)})
    overrides.apply(config, TINY_RUN, "tiny")
    overrides.apply(config, {"task": {"train_data": data, "validation_data": data}}, "test")
    name = "train_data" if kind is TrainInput else "validation_data"
    return kind(config.task, open_corpora(getattr(config.task, name), name), shares)


def keys(batches) -> list[tuple[int, ...]]:
    """Returns the hashes of the pairs in some host batches, sorted."""
    rows = [
        np.concatenate([features["context_key"], features["response_key"]], 1)
        for batch in batches
        for features in batch.replicas
    ]
    return sorted(map(tuple, np.concatenate(rows).tolist()))


@pytest.mark.parametrize("kind", [TrainInput, ValidationInput])
@pytest.mark.parametrize("data", LAYOUTS)
def test_hosts_take_the_rows_that_one_host_gives_to_as_many_replicas(folder, kind, data):
    data = data | {"global_batch_size": 16}
    whole = make(kind, folder, Shares(1, 0, 4), **data)
    for hosts in (2, 4):
        inputs = [make(kind, folder, Shares(hosts, h, 4 // hosts), **data) for h in range(hosts)]
        for step in (0, 2):
            expected = whole(step)
            parts = [one(step) for one in inputs]
            features = [f for part in parts for f in part.replicas]
            for got, wanted in zip(features, expected.replicas, strict=True):
                assert set(got) == set(wanted)
                for name, array in wanted.items():
                    np.testing.assert_array_equal(got[name], array, err_msg=name)
            for part in parts:  # the counts are those of all hosts
                assert part.tokens == expected.tokens
                assert part.capacity == expected.capacity
                assert part.cut == expected.cut


@pytest.mark.parametrize("step", [0, 5, 12_345])
def test_a_run_that_moves_between_one_and_two_hosts_gets_the_same_pairs(folder, step):
    alone = keys([make(TrainInput, folder, Shares())(step)])
    together = keys([make(TrainInput, folder, Shares(2, host, 1))(step) for host in range(2)])
    assert together == alone
    assert len(alone) == 16


def test_the_batch_must_be_a_multiple_of_the_replicas_of_all_hosts(folder):
    with pytest.raises(Exception, match=r"global_batch_size: must be a multiple of the 6 repl"):
        make(TrainInput, folder, Shares(2, 0, 3))


def test_batches_of_one_data_set_have_row_counts_for_the_shortest_texts(tmp_path):
    for name, lengths in (("long", (10, 14)), ("short", (4, 5))):
        write_corpus(tmp_path / name, pairs=64, shards=1, lengths=lengths)
    config = tmp_path / "data_config.json"
    config.write_text('[{"name": "long", "weight": 1}, {"name": "short", "weight": 1}]')
    data = {"data_config": str(config), "row_counts": 3, "global_batch_size": 16}
    apart = make(TrainInput, tmp_path, Shares(), **data, datasets_per_batch=1)
    mixed = make(TrainInput, tmp_path, Shares(), **data, datasets_per_batch=16)
    assert apart.layout.row_counts[-1] == mixed.layout.row_counts[-1]
    assert apart.layout.row_counts[0] < mixed.layout.row_counts[0]
    rows: dict[int, set[int]] = {0: set(), 1: set()}
    for step in range(8):
        batch = apart(step)
        (drawn,) = batch.drawn
        rows[drawn].add(len(batch.replicas[0]["token_ids"]))
    assert max(rows[1]) < min(rows[0])


def test_data_sets_without_an_evaluated_batch_have_no_validation_metric(tmp_path):
    for name, pairs in (("a", 40), ("b", 45), ("small", 10), ("d", 20)):
        write_corpus(tmp_path / name, pairs=20, test_pairs=pairs, shards=1)
    config = tmp_path / "data_config.json"
    names = ("a", "b", "small", "d")
    config.write_text(json.dumps([{"name": name, "weight": 1} for name in names]))
    made = make(ValidationInput, tmp_path, Shares(), data_config=str(config), global_batch_size=20)
    assert made.batches == 5
    assert made.evaluated(-1) == made.evaluated(5) == {0: "a", 1: "b", 3: "d"}
    assert made.evaluated(4) == made.evaluated(3) == {0: "a", 1: "b"}
    assert made.evaluated(2) == {0: "a"}
    assert [list(made(step).drawn) for step in range(5)] == [[0], [0], [1], [1], [3]]
