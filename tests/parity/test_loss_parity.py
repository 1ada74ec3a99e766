"""Loss and gradients of one step equal those of sentence-transformers (same weights, batch)."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from rejoinder.trainer.data.testing import VOCABULARY, make_pair

torch = pytest.importorskip("torch")
sentence_transformers = pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.parity

PAIRS = 12


@pytest.fixture(scope="module", params=[0, 2], ids="hard negatives: {}".format)
def step(request, tmp_path_factory):
    """Returns (loss, gradients by checkpoint name) of sentence-transformers and of ours."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    from rejoinder.models.sentence_encoder import SentenceEncoder
    from rejoinder.models.sentence_transformers import save_sentence_transformers
    from rejoinder.models.testing import tiny_config
    from rejoinder.models.weights import bindings
    from rejoinder.trainer.config import LossOptions
    from rejoinder.trainer.data.testing import write_trainable_corpus
    from rejoinder.trainer.gradients import gradients
    from rejoinder.trainer.loss import contrastive_loss

    folder = tmp_path_factory.mktemp("loss")
    corpus = write_trainable_corpus(folder / "corpus", pairs=10, shards=1)
    tf_keras.utils.set_random_seed(3)
    encoder = SentenceEncoder(
        tiny_config(
            VOCABULARY,
            initializer_range=0.2,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    save_sentence_transformers(folder / "model", encoder, corpus / "tokenizer", max_length=32)
    rng = np.random.default_rng(0)
    pairs = [make_pair(number, rng, (3, 12)) for number in range(PAIRS)]
    others = [make_pair(number, rng, (3, 12))[1] for number in range(PAIRS * request.param)]
    columns = [*zip(*pairs, strict=True)]
    columns += [others[i * PAIRS : (i + 1) * PAIRS] for i in range(request.param)]
    width = max(len(ids) for column in columns for ids in column)
    sides = [
        np.array([ids + [1] * (width - len(ids)) for ids in column], np.int32) for column in columns
    ]

    model = SentenceTransformer(str(folder / "model"), device="cpu")
    model.train()
    theirs = MultipleNegativesRankingLoss(model, scale=20.0)
    features = [
        {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "attention_mask": torch.tensor(ids != 1, dtype=torch.long),
        }
        for ids in sides
    ]
    loss = theirs(features, torch.zeros(PAIRS))
    loss.backward()
    their_gradients = {
        name.split("auto_model.")[-1].split("model.")[-1]: parameter.grad.numpy()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }

    rows = {"token_ids": tf.constant(np.concatenate(sides))}
    if request.param:
        rows["negative_key"] = tf.ones([PAIRS, request.param, 2], tf.int32)
    variables = encoder.trainable_variables
    grads, result = gradients(
        encoder,
        rows,
        lambda c, r, *n: contrastive_loss(
            c, r, 20.0, rows, LossOptions(symmetric=False, mask_duplicates=False), n
        ),
        variables,
        max_segments=1,
    )
    by_variable = {v.ref(): g.numpy() for v, g in zip(variables, grads, strict=True)}
    our_gradients = {}
    for binding in bindings(encoder.mpnet):
        if binding.variable.ref() not in by_variable:
            continue  # the pooler: sentence embeddings do not depend on it
        parts = np.split(by_variable[binding.variable.ref()], len(binding.names), axis=-1)
        for name, part in zip(binding.names, parts, strict=True):
            our_gradients[name] = part.T if binding.is_kernel else part
    return (float(loss), their_gradients), (float(result.loss), our_gradients)


def test_same_loss(step):
    (theirs, _), (ours, _) = step
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_same_gradient_of_every_weight(step):
    (_, theirs), (_, ours) = step
    compared = 0
    for name, gradient in ours.items():
        if name in theirs:
            np.testing.assert_allclose(gradient, theirs[name], atol=5e-6, err_msg=name)
            compared += 1
    assert compared == len(ours)
