"""Each setting of a model folder is honoured or refused with one line."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from rejoinder.errors import UserError
from rejoinder.models.encoder import Encoder
from rejoinder.models.folder_settings import read_folder_settings
from rejoinder.models.loading import load_model
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.models.testing import tiny_config

CLASSIC = "sentence_transformers.models."
TEXTS = ["The quick brown fox", "jumps over the lazy dog"]


@pytest.fixture(scope="module")
def original(tokenizer_folder, tmp_path_factory):
    """A sentence-transformers folder of a random model."""
    tf.random.set_seed(1)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_sentence_transformers(
        folder, SentenceEncoder(tiny_config(300)), tokenizer_folder, max_length=32
    )
    return folder


@pytest.fixture(scope="module")
def expected(original):
    """The embeddings of the unchanged folder."""
    return Encoder.load(original).encode(TEXTS)


@pytest.fixture
def folder(original, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(original, tmp_path / "model")


def edit(path, **values):
    """Sets keys of a JSON file, which may be missing."""
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | values))


def keep_modules(folder, *kinds):
    modules = json.loads((folder / "modules.json").read_text())
    kept = [one for one in modules if one["type"].rpartition(".")[2] in kinds]
    (folder / "modules.json").write_text(json.dumps(kept))


def test_without_a_normalize_module_embeddings_keep_their_length(folder, expected):
    keep_modules(folder, "Transformer", "Pooling")
    encoder = Encoder.load(folder)
    raw = encoder.encode(TEXTS)
    lengths = np.linalg.norm(raw, axis=-1)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(raw / lengths[:, None], expected, atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode(TEXTS, normalize_embeddings=True), expected, atol=1e-6
    )
    half = Encoder.load(folder, precision="bfloat16").encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(half, axis=-1), lengths, rtol=0.05)


def test_a_plain_transformers_folder_is_pooled_without_normalization(folder):
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    lengths = np.linalg.norm(Encoder.load(folder).encode(TEXTS), axis=-1)
    assert np.abs(lengths - 1).min() > 0.1


def test_truncate_dim_cuts_embeddings(folder, expected):
    edit(folder / "config_sentence_transformers.json", truncate_dim=6)
    encoder = Encoder.load(folder)
    assert encoder.dimension == encoder.get_sentence_embedding_dimension() == 6
    np.testing.assert_allclose(encoder.encode(TEXTS), expected[:, :6], atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS, truncate_dim=9), expected[:, :9], atol=1e-6)


def test_the_default_prompt_is_put_before_each_text(folder):
    plain = Encoder.load(folder)
    prompts = {"query": "quick: ", "document": None, "title": "dog "}
    edit(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name="query")
    encoder = Encoder.load(folder)
    for prefix, got in (
        ("quick: ", encoder.encode(TEXTS)),
        ("quick: ", encoder.encode_query(TEXTS)),
        ("", encoder.encode_document(TEXTS)),
        ("dog ", encoder.encode(TEXTS, prompt_name="title")),
        ("over ", encoder.encode(TEXTS, prompt="over ", prompt_name="title")),
        ("", encoder.encode(TEXTS, prompt="")),
    ):
        np.testing.assert_allclose(got, plain.encode([prefix + text for text in TEXTS]), atol=1e-6)
    with pytest.raises(ValueError, match="prompt_name must be one of"):
        encoder.encode(TEXTS, prompt_name="other")


@pytest.mark.parametrize(
    ("seq_length", "model_max", "length"),
    [(20, 12, 20), (None, 12, 12), (None, 1e30, 64), (None, None, 64), (100, 12, 64)],
)
def test_the_length_limit_comes_from_the_settings_then_the_tokenizer(
    folder, seq_length, model_max, length
):
    (folder / "sentence_bert_config.json").unlink()
    if seq_length:
        edit(folder / "sentence_bert_config.json", max_seq_length=seq_length)
    edit(folder / "tokenizer_config.json", model_max_length=model_max)
    assert Encoder.load(folder).max_seq_length == length


def test_the_length_limit_of_old_folders_is_read(folder):
    (folder / "sentence_bert_config.json").rename(folder / "sentence_roberta_config.json")
    edit(folder / "tokenizer_config.json", model_max_length=12)
    assert load_model(folder).max_length == 32


def test_a_transformer_in_a_subfolder_is_loaded(folder, expected):
    below = folder / "0_Transformer"
    below.mkdir()
    for path in folder.iterdir():
        if path.is_file() and path.name not in (
            "modules.json",
            "config_sentence_transformers.json",
        ):
            path.rename(below / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    encoder = Encoder.load(folder)
    assert encoder.max_seq_length == 32
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)


def test_pooling_without_any_switch_is_the_mean(folder, expected):
    (folder / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 16}')
    np.testing.assert_array_equal(Encoder.load(folder).encode(TEXTS), expected)


def test_the_whole_file_comes_before_an_index(folder, expected):
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "missing.safetensors"}})
    )
    np.testing.assert_array_equal(Encoder.load(folder).encode(TEXTS), expected)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "cls"}, "pools by cls, must be mean"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "pools by cls and mean"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "pools by cls and mean"),
        ("1_Pooling/config.json", {"include_prompt": False}, "include_prompt is false"),
        ("2_Normalize/config.json", {"module_input_name": "token_embeddings"}, "must be 'sent"),
        (
            "config_sentence_transformers.json",
            {"similarity_fn_name": "maxsim"},
            "similarity_fn_name is 'maxsim', must be one of cosine",
        ),
        (
            "config_sentence_transformers.json",
            {"model_type": "SparseEncoder"},
            "model_type is 'SparseEncoder'",
        ),
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "truncate_dim is 0"),
        ("config_sentence_transformers.json", {"prompts": ["a"]}, "prompts must be texts by name"),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "q"},
            r"default_prompt_name is 'q', which is not among the prompts \(query, document\)",
        ),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length is 'many'"),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "must be at least 3"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "is 'fill-mask'"),
        ("config.json", {"quantization_config": {"bits": 8}}, "the weights are quantized"),
        ("adapter_config.json", {"peft_type": "LORA"}, "adapter_config.json: the folder holds an"),
    ],
)
def test_what_is_not_supported_is_one_line_that_names_the_file(folder, file, values, message):
    edit(folder / file, **values)
    with pytest.raises(UserError, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (["Transformer", "Pooling", "Dense"], "module Dense is not supported"),
        (["Transformer", "Pooling", "LayerNorm", "Normalize"], "module LayerNorm"),
        (["Transformer", "Normalize", "Pooling"], "must be Transformer, Pooling and optionally"),
        (["Transformer"], "modules are Transformer; must be"),
        (["Transformer", "Pooling", "Pooling"], "modules are Transformer, Pooling, Pooling"),
    ],
)
def test_other_modules_are_refused(folder, modules, message):
    values = [{"type": CLASSIC + kind, "path": f"{n}_{kind}"} for n, kind in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        read_folder_settings(folder)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "a/../../b"])
def test_a_module_outside_the_folder_is_refused(folder, path):
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = path
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="leaves the folder of the model"):
        read_folder_settings(folder)


@pytest.mark.parametrize("text", ["{", "3", '[{"path": ""}]', "[3]"])
def test_a_broken_list_of_modules_is_one_line(folder, text):
    (folder / "modules.json").write_text(text)
    with pytest.raises(UserError, match=r"modules\.json: (cannot be read|must list modules)"):
        read_folder_settings(folder)


def test_capitals_that_only_sentence_transformers_would_lower_are_refused(folder):
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    read_folder_settings(folder)  # the tokenizer lower-cases too
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    edit(folder / "tokenizer.json", normalizer=tokenizer["normalizer"] | {"lowercase": False})
    with pytest.raises(UserError, match="do_lower_case is true but the tokenizer keeps capitals"):
        read_folder_settings(folder)


class TestWeights:
    NAME = "encoder.layer.0.output.dense.weight"

    def change(self, folder, convert):
        tensors = load_file(folder / "model.safetensors")
        tensors[self.NAME] = convert(tensors[self.NAME])
        save_file(tensors, folder / "model.safetensors")

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, bool])
    def test_quantized_weights_are_refused(self, folder, dtype):
        self.change(folder, lambda tensor: tensor.astype(dtype))
        with pytest.raises(UserError, match=f"1 quantized: {self.NAME} "):
            load_model(folder)

    @pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_weights_that_are_not_numbers_are_refused(self, folder, dtype, value):
        def spoil(tensor):
            tensor = tensor.astype(dtype)
            tensor[3, 4] = value
            return tensor

        self.change(folder, spoil)
        with pytest.raises(UserError, match=f"1 with NaN or infinite numbers: {self.NAME}"):
            load_model(folder)

    @pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
    def test_weights_of_another_float_type_are_converted(self, folder, dtype, expected):
        self.change(folder, lambda tensor: tensor.astype(dtype))
        np.testing.assert_allclose(Encoder.load(folder).encode(TEXTS), expected, atol=0.02)

    @pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/b.safetensors"])
    def test_an_index_that_leaves_the_folder_is_refused(self, folder, name):
        (folder / "model.safetensors").unlink()
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(UserError, match="must be a file in the folder"):
            load_model(folder)

    @pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
    def test_a_broken_index_is_one_line(self, folder, text):
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(text)
        with pytest.raises(UserError, match="is not an index of weights"):
            load_model(folder)

    def test_a_missing_shard_is_named(self, folder):
        (folder / "model.safetensors").rename(folder / "part-1.safetensors")
        index = folder / "model.safetensors.index.json"
        shards = {"a": "part-1.safetensors", "b": "part-2.safetensors"}
        index.write_text(json.dumps({"weight_map": shards}))
        with pytest.raises(UserError, match=r"names part-2\.safetensors, which does not exist"):
            load_model(folder)
