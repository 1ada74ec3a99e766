"""A tiny corpus that carries its tokenizer, and configurations that train on it in seconds."""

import pytest

from trainer.data.testing import write_trainable_corpus


@pytest.fixture(scope="session")
def trainable_corpus(tmp_path_factory):
    """Returns the folder of a corpus of 300 training and 60 test pairs."""
    folder = tmp_path_factory.mktemp("trainable") / "corpus"
    return write_trainable_corpus(folder, pairs=300, test_pairs=60)


@pytest.fixture
def make_trainer(trainable_corpus):
    """Returns a function from overrides to a `Trainer` with its initial weights."""
    import tensorflow as tf

    from trainer import initialization, overrides
    from trainer.data.sources import open_corpora
    from trainer.experiment import read_config
    from trainer.loop import Trainer
    from trainer.task import DualEncoder

    tiny = {
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
    made = []

    def make(values=None, clip_norm=1.0):
        flags = {"task.train_data.input_path": str(trainable_corpus)}
        config = read_config("repartee/dual_encoder", [], "", flags)
        overrides.apply(config, tiny, "tiny")
        overrides.apply(config, values or {}, "test")
        corpora = open_corpora(config.task.train_data, "task.train_data")
        base = initialization.find_base(config.task.model, corpora)
        with tf.distribute.OneDeviceStrategy("CPU:0").scope():
            task = DualEncoder(config.task, base, clip_norm)
            trainer = Trainer(config, task, train=True, evaluate=True)
            task.initialize(trainer.model)
        made.append(trainer)
        return trainer

    yield make
    for trainer in made:
        trainer.close()
