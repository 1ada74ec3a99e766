"""The program of a replica's training step: its arguments, results and determinism."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.initialization import BaseModel
from rejoinder.trainer.run import Run
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.tpu_compile.lowering import lower_step

PAIRS, ROWS, WIDTH, REPLICAS = 4, 2, 32, 8

pytestmark = pytest.mark.host_xla


def packed_features() -> dict[str, np.ndarray]:
    rows = dict.fromkeys(
        ("token_ids", "segment_ids", "positions"), np.ones([ROWS, WIDTH], np.int32)
    )
    keys = dict.fromkeys(("context_key", "response_key"), np.zeros([PAIRS, 2], np.int32))
    slots = np.zeros([2 * PAIRS, 2], np.int32)
    return {**rows, **keys, "slots": slots, "data_set": np.zeros([PAIRS], np.int32)}


@pytest.fixture(scope="module")
def run() -> Run:
    config = read_config([], "", {"runtime.mixed_precision_dtype": "bfloat16"})
    sizes = MPNetConfig(
        vocab_size=200,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=WIDTH + 2,
    )
    strategy = tf.distribute.get_strategy()
    return Run(config, "", "train", strategy, BaseModel(sizes, ""), (), ())


@pytest.fixture(scope="module")
def lowered(run):
    return lower_step(run, packed_features(), REPLICAS)


@pytest.fixture(scope="module")
def entry(lowered):
    module = hlo_pb2.HloModuleProto.FromString(lowered.hlo)
    (found,) = (c for c in module.computations if c.id == module.entry_computation_id)
    return found


def parameters(entry) -> list[tuple[int, ...]]:
    found = {i.parameter_number: i for i in entry.instructions if i.opcode == "parameter"}
    return [tuple(found[number].shape.dimensions) for number in range(len(found))]


def test_the_arguments_are_the_batch_the_replica_and_the_state(lowered, entry):
    features = packed_features()
    batch = [features[name].shape for name in lowered.features]
    assert parameters(entry) == [*batch, (), *(value.shape for value in lowered.values())]


def test_each_result_but_the_loss_replaces_an_argument_of_its_shape(lowered, entry):
    (root,) = (i for i in entry.instructions if i.id == entry.root_id)
    results = [tuple(shape.dimensions) for shape in root.shape.tuple_shapes]
    assert results[0] == ()
    assert set(lowered.aliases) == set(range(1, len(results)))
    arguments = parameters(entry)
    for result, argument in lowered.aliases.items():
        assert results[result] == arguments[argument]


def test_replicas_exchange_data_and_one_replica_does_not(lowered, run):
    alone = lower_step(run, packed_features(), 1)
    assert b"all-reduce" in lowered.hlo
    assert b"all-reduce" not in alone.hlo


def test_equal_steps_give_equal_programs_without_paths(lowered, run):
    again = lower_step(run, packed_features(), REPLICAS)
    assert again.digest == lowered.digest
    assert b".py" not in lowered.hlo
