"""Shapes of the batch and sizes of the encoder that a step is lowered for."""

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from rejoinder.errors import UserError
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.data.corpora import open_corpora
from rejoinder.trainer.data.inputs import Shares, TrainInput
from rejoinder.trainer.data.testing import VOCABULARY
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.tpu_compile.batch import MEAN_LENGTH, assumed_pairs, make_features
from rejoinder.trainer.tpu_compile.encoder_sizes import find_sizes

BASE = MPNetConfig()


def task(override: str = "", **flags):
    return read_config([], override, {f"task.{k}": v for k, v in flags.items()}).task


def test_the_assumed_sentences_have_the_stated_mean_and_are_cut():
    pairs = assumed_pairs(max_length=128)
    assert pairs.context.lengths.mean() == pytest.approx(MEAN_LENGTH, rel=0.02)
    assert pairs.response.lengths.min() >= 3
    assert assumed_pairs(max_length=16).context.lengths.max() == 16


def test_the_published_batch_without_a_corpus_needs_40_rows_of_128_tokens():
    features, assumptions = make_features(task(), BASE, (), replicas=8)
    assert features["token_ids"].shape == (40, 128)
    assert features["slots"].shape == (256, 2)
    assert assumptions == ["18.5 tokens a sentence, geometrically distributed (no --corpus)"]


def test_padded_rows_hold_one_sentence_each():
    padded = task("task.train_data.layout=padded")
    features, assumptions = make_features(padded, BASE, (), replicas=8)
    assert assumptions == []
    assert features["token_ids"].shape == (256, 128)
    assert "segment_ids" not in features


def test_the_largest_of_several_batches_is_compiled():
    several = task("task.train_data.row_counts=4")
    bucketed = task("task.train_data.layout=bucketed")
    assert make_features(several, BASE, (), 8)[0]["positions"].shape == (40, 128)
    assert make_features(bucketed, BASE, (), 8)[0]["token_ids"].shape == (256, 128)


def test_hard_negatives_a_guide_and_threads_have_their_shapes_without_a_corpus():
    mined = task("task.loss.hard_negatives=2,task.loss.guide=true,task.loss.mask_threads=true")
    features, _ = make_features(mined, BASE, (), replicas=8)
    assert features["slots"].shape == (4 * 128, 2)
    assert features["negative_key"].shape == (128, 2, 2)
    assert features["guide_context"].shape == (128, BASE.hidden_size)
    assert features["thread_key"].shape == (128, 2)


def test_a_corpus_gives_the_shapes_of_training(trainable_corpus):
    settings = task(
        "task.train_data.global_batch_size=16",
        **{"train_data.input_path": str(trainable_corpus), "loss.log_q": True},
    )
    corpora = open_corpora(settings.train_data, "task.train_data")
    features, assumptions = make_features(settings, BASE, corpora, replicas=2)
    trained = TrainInput(settings, corpora, Shares(replicas=2))(0).replicas[0]
    assert {name: array.shape for name, array in features.items()} == {
        name: array.shape for name, array in trained.items()
    }
    assert assumptions == []


def test_a_batch_that_the_replicas_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"global_batch_size: must be a multiple of the 8 replicas"):
        make_features(task("task.train_data.global_batch_size=100"), BASE, (), replicas=8)


def test_without_the_hub_the_sizes_are_those_of_mpnet_base(monkeypatch):
    def no_network(*_):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    chosen = task(**{"model.init_from": "microsoft/mpnet-base", "model.hidden_dropout_prob": 0.0})
    sizes, (assumption,) = find_sizes(chosen.model, ())
    assert (sizes.num_hidden_layers, sizes.hidden_dropout_prob) == (12, 0.0)
    assert assumption.startswith("the sizes of mpnet-base (microsoft/mpnet-base cannot be read")


def test_a_name_on_the_hub_costs_only_its_settings(monkeypatch, tmp_path):
    MPNetConfig(num_hidden_layers=3).write(tmp_path)
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda *file: asked.append(file) or str(tmp_path / "config.json"),
    )
    sizes, assumptions = find_sizes(task(**{"model.init_from": "someone/small"}).model, ())
    assert (sizes.num_hidden_layers, assumptions) == (3, [])
    assert asked == [("someone/small", "config.json")]


def test_a_folder_gives_its_own_sizes(tmp_path):
    MPNetConfig(num_hidden_layers=2).write(tmp_path)
    sizes, assumptions = find_sizes(task(**{"model.init_from": str(tmp_path)}).model, ())
    assert (sizes.num_hidden_layers, assumptions) == (2, [])


def test_random_weights_have_the_vocabulary_of_the_corpus(trainable_corpus):
    settings = task(
        **{"train_data.input_path": str(trainable_corpus), "model.num_hidden_layers": 2}
    )
    corpora = open_corpora(settings.train_data, "task.train_data")
    sizes, assumptions = find_sizes(settings.model, corpora)
    assert (sizes.vocab_size, sizes.num_hidden_layers, assumptions) == (VOCABULARY, 2, [])
    _, (assumption,) = find_sizes(settings.model, ())
    assert assumption == "a vocabulary of 30,527, that of mpnet-base (no --corpus)"


@pytest.mark.parametrize(("key", "value"), [("max_length", 513), ("frozen_layers", 12)])
def test_sizes_that_do_not_fit_name_the_key(tmp_path, key, value):
    MPNetConfig().write(tmp_path)
    model = task(**{"model.init_from": str(tmp_path), f"model.{key}": value}).model
    with pytest.raises(UserError, match=rf"task\.model\.{key}"):
        find_sizes(model, ())
