"""The real all-mpnet-base-v2 beside torch and sentence-transformers.

The checkpoint's folder is named by `REJOINDER_MPNET` (default
`~/.cache/rejoinder/all-mpnet-base-v2`), real comments and STS-B by `REJOINDER_DATA`.
"""

import csv
import os
import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from rejoinder.models.encoder import Encoder
from rejoinder.models.loading import load_model
from rejoinder.models.packing import gather_segments, pack
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.pipelines.dumps.texts import TextSummary, read_texts

MODEL = Path(os.environ.get("REJOINDER_MPNET", "~/.cache/rejoinder/all-mpnet-base-v2")).expanduser()
DATA = Path(os.environ.get("REJOINDER_DATA", Path(__file__).parents[3] / "shared" / "data"))
torch = pytest.importorskip("torch", reason="needs `make setup-parity`")
sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="needs `make setup-parity`"
)
pytestmark = [
    pytest.mark.parity,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (MODEL / "model.safetensors").exists(), reason=f"no {MODEL}; set REJOINDER_MPNET"
    ),
    pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}; set REJOINDER_DATA"),
]
NUM_COMMENTS = int(os.environ.get("REJOINDER_PARITY_COMMENTS", "1000"))


@pytest.fixture(scope="module")
def loaded():
    return load_model(MODEL)


@pytest.fixture(scope="module")
def peer():
    model = sentence_transformers.SentenceTransformer(str(MODEL), device="cpu")
    model.max_seq_length = 128
    return model


@pytest.fixture(scope="module")
def comments():
    """Real comments of all lengths, up to ten thousand characters."""
    dump = str(DATA / "reddit_dumps" / "RC_2006-01.zst")
    every = list(read_texts(dump, "body", TextSummary()))
    return random.Random(0).sample(every, NUM_COMMENTS)


@pytest.fixture(scope="module")
def expected(peer, comments):
    return peer.encode(comments, batch_size=16)


def test_embeddings_of_real_comments(loaded, comments, expected):
    ours = Encoder.from_loaded(loaded, max_length=128).encode(comments)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_packed_embeddings_of_real_comments(loaded, comments, expected):
    tokens = loaded.tokenizer(tf.constant(comments), 128)
    step = tf.function(lambda rows: loaded.encoder(rows, training=False, max_segments=16))
    for begin in range(0, len(comments), 100):
        ids = tokens.ids[begin : begin + 100]
        rows = int(np.ceil(ids.flat_values.shape[0] / 128 / 0.8)) + 1
        values, splits = ids.values.numpy(), ids.row_splits.numpy()
        packed = pack(values, splits - splits[0], 128, rows, 16, pad_id=1)
        assert packed.fits
        names = ("token_ids", "segment_ids", "positions")
        embedded = step({name: tf.constant(getattr(packed, name)) for name in names})
        ours = gather_segments(embedded, packed.slots)
        np.testing.assert_allclose(ours, expected[begin : begin + 100], atol=1e-5)


def test_hidden_states(loaded, peer, comments):
    tokens = loaded.tokenizer(tf.constant(comments[:64]), 128)
    token_ids = tokens.ids.to_tensor(1).numpy()
    ours = loaded.encoder.mpnet(tf.constant(token_ids)).numpy()
    mask = token_ids != 1
    with torch.no_grad():
        theirs = (
            peer[0]
            .auto_model(
                input_ids=torch.tensor(token_ids, dtype=torch.int64),
                attention_mask=torch.tensor(mask, dtype=torch.int64),
            )
            .last_hidden_state.numpy()
        )
    np.testing.assert_allclose(ours[mask], theirs[mask], atol=1e-5)


def test_an_exported_folder_is_bit_equal_and_embeds_the_same(loaded, peer, comments, tmp_path):
    from safetensors.numpy import load_file

    save_sentence_transformers(tmp_path / "out", loaded.encoder, loaded.tokenizer_folder)
    before, after = (
        load_file(folder / "model.safetensors") for folder in (MODEL, tmp_path / "out")
    )
    assert set(before) - set(after) == {"embeddings.position_ids"}
    for name, tensor in after.items():
        assert tensor.tobytes() == before[name].tobytes(), name
    again = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    again.max_seq_length = 128
    np.testing.assert_array_equal(again.encode(comments[:50]), peer.encode(comments[:50]))


def sts_spearman(encoder):
    """Spearman's correlation of our cosines with STS-B's test scores."""
    with (DATA / "eval" / "stsb-en-test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    left, right = (encoder.encode([row[column] for row in rows]) for column in (0, 1))
    return spearmanr((left * right).sum(1), [float(row[2]) for row in rows]).statistic


def test_sts_benchmark():
    assert sts_spearman(Encoder.load(MODEL)) == pytest.approx(0.83422, abs=1e-5)


def test_sts_benchmark_in_bfloat16():
    encoder = Encoder.load(MODEL, precision="bfloat16")
    assert sts_spearman(encoder) == pytest.approx(0.83422, abs=2e-3)


def test_sts_benchmark_through_the_exported_saved_model(tmp_path):
    from rejoinder.models.export import export_model

    export_model(str(MODEL), tmp_path / "mpnet", sentence_transformers=False)
    assert sts_spearman(Encoder.load(tmp_path / "mpnet")) == pytest.approx(0.83422, abs=1e-5)


def test_bfloat16_stays_close_to_float32(loaded, comments):
    exact = Encoder.from_loaded(loaded, max_length=128).encode(comments[:300])
    half = Encoder.load(MODEL, precision="bfloat16", max_length=128).encode(comments[:300])
    assert (exact * half).sum(1).min() > 0.999
