"""Loading models and embedding texts."""

import itertools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.embedders import STEP_TOKENS, cut_steps
from rejoinder.models.encoder import WINDOW, Encoder
from rejoinder.models.loading import load_model, write_encoder_folder
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.models.testing import tiny_config


@pytest.fixture(scope="module")
def tiny():
    """A random model for the test vocabulary."""
    tf.random.set_seed(1)
    return SentenceEncoder(tiny_config(300))


@pytest.fixture(scope="module")
def folder(tiny, tokenizer_folder, tmp_path_factory):
    """A sentence-transformers folder."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_sentence_transformers(folder, tiny, tokenizer_folder, max_length=32)
    return folder


@pytest.fixture
def model_dir(tiny, tokenizer_folder, tmp_path):
    """The folder of a training run, with checkpoints at steps 1 and 2."""
    write_encoder_folder(tmp_path / "run" / "encoder", tiny.config, tokenizer_folder, 24)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=tiny, step=tf.Variable(0)), str(tmp_path / "run"), 5
    )
    bias = tiny.mpnet.embeddings_norm.beta
    before = bias.numpy()
    bias.assign(before + 1)
    manager.save(1)
    bias.assign(before)
    manager.save(2)
    return tmp_path / "run"


def one_by_one(folder, texts, max_length=32):
    """Embeds each text by itself, without batching."""
    loaded = load_model(folder)
    rows = loaded.tokenizer(tf.constant(list(texts)), max_length).ids.to_list()
    return np.concatenate([loaded.encoder({"token_ids": tf.constant([row])}) for row in rows])


def test_embeddings_come_in_input_order(folder, texts):
    mixed = [*texts, "", "short", "the fox " * 40, *texts[::-1]]
    encoder = Encoder.load(folder)
    embeddings = encoder.encode(mixed)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(mixed), encoder.dimension)
    np.testing.assert_allclose(embeddings, one_by_one(folder, mixed), atol=1e-5)
    np.testing.assert_allclose(encoder.encode(mixed, batch_size=2), embeddings, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(iter(mixed)), embeddings, atol=1e-6)


def test_a_context_with_earlier_turns_is_the_mean_of_both(folder, texts):
    encoder = Encoder.load(folder)
    turns = [[], texts[3:5], [texts[5]]]
    found = encoder.encode_context(texts[:3], extra_contexts=turns)
    last = encoder.encode(texts[:3])
    np.testing.assert_allclose(found[0], last[0], atol=1e-6)
    for row, one in enumerate(turns[1:], 1):
        mean = last[row] + encoder.encode(" ".join(one))
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), atol=1e-5)
    single = encoder.encode_context(texts[1], extra_contexts=texts[3:5])
    np.testing.assert_allclose(single, found[1], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_context(texts[:3]), last, atol=1e-6)
    short = encoder.encode_context(
        texts[:3], extra_contexts=turns, truncate_dim=8, normalize_embeddings=True
    )
    expected = found[:, :8] / np.linalg.norm(found[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(short, expected, atol=1e-5)


def test_earlier_turns_are_checked(folder, texts):
    encoder = Encoder.load(folder)
    with pytest.raises(ValueError, match="as many sequences as texts, 2; got 1"):
        encoder.encode_context(texts[:2], extra_contexts=[[]])
    with pytest.raises(TypeError, match="a sequence of texts for each text, got a string"):
        encoder.encode_context(texts[:2], extra_contexts=["one", "two"])


def test_the_tokens_of_joined_turns_are_those_of_each(folder):
    encoder, turns = Encoder.load(folder), ["Wow, the fox!", "?what a (great) dog"]
    ids, mask = encoder.tokenize([" ".join(turns)]).values()
    each = [encoder.tokenize([text])["input_ids"][0][1:-1].tolist() for text in turns]
    assert ids[0][: mask.sum()].tolist()[1:-1] == [*each[0], *each[1]]


def test_a_string_is_one_text_and_no_texts_are_no_rows(folder):
    encoder = Encoder.load(folder)
    assert encoder.encode("the fox").shape == (16,)
    assert encoder.encode([]).shape == (0, 16)
    # A lone surrogate is valid in a Python string but not in UTF-8.
    assert np.isfinite(encoder.encode(["\ud800 fox"])).all()


def test_an_endless_iterator_is_read_window_by_window(folder):
    read = itertools.count()
    source = (f"text {next(read)}" for _ in itertools.count())
    encoder = Encoder.load(folder)
    stream = encoder.stream(source)
    first = next(stream)
    assert first.shape == (WINDOW, 16)
    assert next(read) == WINDOW
    np.testing.assert_allclose(first[7], encoder.encode("text 7"), atol=1e-5)


def test_wrong_arguments_are_refused(folder):
    encoder = Encoder.load(folder)
    with pytest.raises(TypeError, match="must be strings, got int"):
        encoder.encode(["a", 3])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        encoder.encode(["a"], batch_size=0)
    with pytest.raises(UserError, match="between 3 and 64, got 65"):
        Encoder.load(folder, max_length=65)
    with pytest.raises(UserError, match="float32 or bfloat16, got int8"):
        Encoder.load(folder, precision="int8")


class TestNamesOfSentenceTransformers:
    def test_results_are_arrays_tensors_or_lists_of_tensors(self, folder, texts):
        encoder = Encoder.load(folder)
        array = encoder.encode(texts)
        tensor = encoder.encode(texts, convert_to_tensor=True)
        rows = encoder.encode(texts, convert_to_numpy=False)
        assert isinstance(tensor, tf.Tensor)
        assert isinstance(rows, list)
        np.testing.assert_array_equal(tensor, array)
        np.testing.assert_array_equal(np.stack(rows), array)
        for options in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
            one = encoder.encode(texts[0], **options)
            assert isinstance(one, tf.Tensor)
            assert one.shape == (16,)
            assert len(encoder.encode([], **options)) == 0

    def test_dimensions_are_cut_and_scaled(self, folder, texts):
        encoder = Encoder.load(folder)
        cut = encoder.encode(texts, truncate_dim=5)
        np.testing.assert_array_equal(cut, encoder.encode(texts)[:, :5])
        scaled = encoder.encode(texts, truncate_dim=5, normalize_embeddings=True)
        np.testing.assert_allclose(np.linalg.norm(scaled, axis=-1), 1, atol=1e-6)
        np.testing.assert_allclose(encoder.similarity_pairwise(cut, scaled), 1, atol=1e-6)
        assert encoder.encode([], truncate_dim=5).shape == (0, 5)
        for dimension in (0, 17):
            with pytest.raises(ValueError, match="truncate_dim must be between 1 and 16"):
                encoder.encode(texts, truncate_dim=dimension)

    def test_the_maximum_length_can_be_read_and_set(self, folder):
        encoder = Encoder.load(folder)
        assert encoder.max_seq_length == 32
        encoder.max_seq_length = 8
        long = "the fox " * 40
        tokens = encoder.tokenize([long, "fox"])
        assert tokens["input_ids"].shape == tokens["attention_mask"].shape == (2, 8)
        assert tokens["attention_mask"][0].all()
        assert not tokens["attention_mask"][1].all()
        expected = Encoder.load(folder, max_length=8).encode(long)
        np.testing.assert_allclose(encoder.encode(long), expected, atol=1e-6)
        with pytest.raises(UserError, match="between 3 and 64, got 2"):
            encoder.max_seq_length = 2

    def test_similarities(self, folder):
        encoder = Encoder.load(folder)
        first = np.array([[3, 4], [0, 2]], np.float32)
        second = np.array([[0, 1], [1, 0], [0, 0]], np.float32)
        expected = {
            "cosine": [[0.8, 0.6, 0], [1, 0, 0]],
            "dot": [[4, 3, 0], [2, 0, 0]],
            "euclidean": [[-np.sqrt(18), -np.sqrt(20), -5], [-1, -np.sqrt(5), -2]],
            "manhattan": [[-6, -6, -7], [-1, -3, -2]],
        }
        for name, matrix in expected.items():
            encoder.similarity_fn_name = name
            np.testing.assert_allclose(encoder.similarity(first, second), matrix, atol=1e-6)
            diagonal = encoder.similarity_pairwise(first, second[:2])
            np.testing.assert_allclose(diagonal, np.diag(matrix), atol=1e-6)
            assert encoder.similarity(first[0], second).shape == (1, 3)
            assert encoder.similarity(first[:0], second).shape == (0, 3)

    def test_a_model_is_saved_and_loaded_again(self, folder, texts, tmp_path):
        encoder = Encoder.load(folder, max_length=12)
        encoder.prompts["title"] = "the "
        encoder.save_pretrained(tmp_path / "saved")
        again = Encoder.load(tmp_path / "saved")
        assert again.max_seq_length == 12
        assert again.prompts == encoder.prompts
        np.testing.assert_array_equal(again.encode(texts), encoder.encode(texts))
        again.save_pretrained(tmp_path / "saved")  # into its own folder
        np.testing.assert_array_equal(
            Encoder.load(tmp_path / "saved").encode(texts), encoder.encode(texts)
        )
        with pytest.raises(UserError, match="load the model in float32 to save it"):
            Encoder.load(folder, precision="bfloat16").save_pretrained(tmp_path / "half")

    def test_collections_without_texts_in_order_are_type_errors(self, folder):
        import polars
        import pyarrow

        encoder = Encoder.load(folder)
        for texts in (
            {"a": 1},
            {"a", "b"},
            frozenset("ab"),
            b"bytes",
            polars.DataFrame({"a": ["x"]}),
            pyarrow.table({"a": ["x"]}),
            pandas_frame(),
        ):
            for method in (encoder.encode, encoder.encode_query, encoder.tokenize):
                with pytest.raises(TypeError, match="texts must be a string or an iterable"):
                    method(texts)
        column = polars.Series(["the fox", "dog"])
        np.testing.assert_array_equal(encoder.encode(column), encoder.encode(["the fox", "dog"]))
        array = np.array(["the fox", "dog"])
        np.testing.assert_array_equal(encoder.encode(array), encoder.encode(list(array)))


def pandas_frame():
    import pandas

    return pandas.DataFrame({"a": ["x"]})


def test_bfloat16_is_close(folder, texts):
    exact = Encoder.load(folder).encode(texts)
    half = Encoder.load(folder, precision="bfloat16").encode(texts)
    assert half.dtype == np.float32
    assert (exact * half).sum(1).min() > 0.999


def test_steps_contain_every_text_once_and_have_a_maximum_size():
    lengths = np.random.default_rng(0).integers(2, 129, 3000)
    order = np.argsort(-lengths)
    steps = list(cut_steps(lengths, order, None))
    np.testing.assert_array_equal(np.concatenate(steps), order)
    padded = [len(step) * lengths[step].max() for step in steps]
    assert max(padded) <= STEP_TOKENS
    assert lengths.sum() / sum(padded) > 0.95
    assert max(len(step) for step in cut_steps(lengths, order, 5)) == 5


def test_few_texts_of_different_lengths_get_little_padding():
    lengths = np.arange(100, 3, -1)
    steps = list(cut_steps(lengths, np.arange(len(lengths)), None))
    np.testing.assert_array_equal(np.concatenate(steps), np.arange(len(lengths)))
    assert lengths.sum() / sum(len(step) * lengths[step].max() for step in steps) > 0.88


class TestModelDir:
    def test_the_latest_checkpoint_is_the_default(self, model_dir, folder, texts):
        latest = Encoder.load(model_dir).encode(texts)
        np.testing.assert_allclose(latest, one_by_one(folder, texts, 24), atol=1e-5)
        older = Encoder.load(model_dir, checkpoint="ckpt-1").encode(texts)
        assert np.abs(older - latest).max() > 0.01
        by_path = Encoder.load(model_dir, checkpoint=str(model_dir / "ckpt-1")).encode(texts)
        np.testing.assert_array_equal(by_path, older)
        assert load_model(model_dir).max_length == 24

    def test_a_run_that_cannot_be_restored_is_an_error(self, model_dir, folder):
        with pytest.raises(UserError, match="ckpt-9: is not a checkpoint"):
            load_model(model_dir, checkpoint="ckpt-9")
        with pytest.raises(UserError, match="has no checkpoints"):
            load_model(folder, checkpoint="ckpt-1")
        path = model_dir / "encoder" / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"num_hidden_layers": 3}))
        with pytest.raises(UserError, match="does not hold the model"):
            load_model(model_dir)
        path.write_text(json.dumps(config | {"vocab_size": 100}))
        with pytest.raises(UserError, match=r"the tokenizer \(\d+ tokens"):
            load_model(model_dir)
        path.write_text(json.dumps(config))
        for file in model_dir.glob("checkpoint"):
            file.unlink()
        with pytest.raises(UserError, match="no checkpoint yet"):
            load_model(model_dir)


def test_a_saved_model_and_its_folder_of_versions_give_equal_embeddings(folder, texts, tmp_path):
    loaded = load_model(folder)
    module = tf.Module()
    module.parts = [loaded.tokenizer, loaded.encoder]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text):
        ids = loaded.tokenizer(text, 32).ids.to_tensor(1)
        return {"embedding": loaded.encoder({"token_ids": ids}, training=False)}

    for version in ("3", "12"):
        target = str(tmp_path / "base" / version)
        tf.saved_model.save(module, target, signatures=serve)
    encoder = Encoder.load(tmp_path / "base")
    expected = Encoder.load(folder).encode(texts)
    np.testing.assert_allclose(encoder.encode(texts, batch_size=3), expected, atol=1e-5)
    with pytest.raises(UserError, match="fixed when it was exported"):
        Encoder.load(tmp_path / "base" / "12", precision="bfloat16")


class TestFolder:
    def test_the_folder_has_the_files_that_sentence_transformers_reads(self, folder):
        kinds = [module["type"] for module in json.loads((folder / "modules.json").read_text())]
        assert kinds == [
            f"sentence_transformers.models.{kind}"
            for kind in ("Transformer", "Pooling", "Normalize")
        ]
        settings = json.loads((folder / "sentence_bert_config.json").read_text())
        assert settings == {"max_seq_length": 32, "do_lower_case": False}
        assert (folder / "README.md").read_text().startswith("---\nlibrary_name:")
        for name in ("tokenizer.json", "vocab.txt", "config.json", "1_Pooling/config.json"):
            assert (folder / name).exists()

    def test_the_maximum_length_is_read_from_the_folder(self, folder, tiny, tmp_path):
        save_sentence_transformers(tmp_path / "again", tiny, folder)
        assert load_model(tmp_path / "again").max_length == 32

    @pytest.mark.parametrize(
        ("file", "value", "message"),
        [
            ("1_Pooling/config.json", {"pooling_mode": "cls"}, "pools by cls, must be mean"),
            ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by max"),
            ("modules.json", [{"path": "3", "type": "x.models.Dense"}], "Dense is not supported"),
        ],
    )
    def test_a_model_with_another_module_is_refused(self, folder, tmp_path, file, value, message):
        shutil.copytree(folder, tmp_path / "other")
        (tmp_path / "other" / file).write_text(json.dumps(value))
        with pytest.raises(UserError, match=message):
            load_model(tmp_path / "other")


def test_importing_the_package_does_not_import_tensorflow():
    import subprocess
    import sys

    code = "import sys, rejoinder; assert 'tensorflow' not in sys.modules; print(dir(rejoinder))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    import rejoinder

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rejoinder.Nothing
