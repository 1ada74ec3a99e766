"""A tiny corpus that carries its tokenizer, and configurations that train on it in seconds."""

import pytest

from rejoinder.trainer.data.testing import TINY_RUN, write_trainable_corpus


@pytest.fixture(scope="session")
def trainable_corpus(tmp_path_factory):
    """Returns the folder of a corpus of 300 training and 60 test pairs."""
    folder = tmp_path_factory.mktemp("trainable") / "corpus"
    return write_trainable_corpus(folder, pairs=300, test_pairs=60)


@pytest.fixture
def make_trainer(trainable_corpus):
    """Returns a function from overrides to a `Trainer` with its initial weights."""
    import tensorflow as tf

    from rejoinder.trainer import initialization, overrides
    from rejoinder.trainer.data.corpora import open_corpora
    from rejoinder.trainer.loop import Trainer
    from rejoinder.trainer.run import read_config
    from rejoinder.trainer.task import DualEncoder

    made = []

    def make(values=None, clip_norm=1.0):
        flags = {"task.train_data.input_path": str(trainable_corpus)}
        config = read_config("rejoinder/dual_encoder", [], "", flags)
        overrides.apply(config, TINY_RUN, "tiny")
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
