"""A tiny corpus with its tokenizer, and configurations that train on it in seconds."""

import pytest

from rejoinder.trainer.data.testing import TINY_RUN, write_trainable_corpus


@pytest.fixture(scope="session")
def trainable_corpus(tmp_path_factory):
    """Returns the folder of a corpus of 300 training and 60 test pairs."""
    folder = tmp_path_factory.mktemp("trainable") / "corpus"
    return write_trainable_corpus(folder, pairs=300, test_pairs=60)


@pytest.fixture
def make_trainer(trainable_corpus, tmp_path):
    """Returns a function from overrides to a `Trainer` with its initial weights."""
    import tensorflow as tf

    from rejoinder.trainer.loop import Trainer
    from rejoinder.trainer.run import open_run
    from rejoinder.trainer.settings import overrides
    from rejoinder.trainer.settings.resolve import read_config
    from rejoinder.trainer.task import DualEncoderTask

    made = []

    def make(values=None):
        config = read_config([], "", {"task.train_data.input_path": str(trainable_corpus)})
        overrides.apply(config, TINY_RUN, "tiny")
        overrides.apply(config, values or {}, "test")
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        run = open_run(config, str(tmp_path / "model"), mode="train_and_eval", strategy=strategy)
        with strategy.scope():
            trainer = Trainer(run, DualEncoderTask(run))
            trainer.initialize()
        made.append(trainer)
        return trainer

    yield make
    for trainer in made:
        trainer.close()
