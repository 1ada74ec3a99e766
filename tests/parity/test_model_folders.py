"""Model folders give what sentence-transformers gives, or are refused."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.models.encoder import Encoder
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.models.testing import tiny_config
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.wordpiece import train_wordpiece

torch = pytest.importorskip("torch", reason="needs `make setup-parity`")
sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="needs `make setup-parity`"
)
pytestmark = pytest.mark.parity
TEXTS = ["The quick brown fox", "jumps over the lazy dog. " * 9, "", "naïve café, doesn't it?"]
PROMPTS = {"query": "quick: ", "document": "fox ", "title": "The "}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A sentence-transformers folder of a random model."""
    tokenizer = train_wordpiece(TEXTS * 3, 120, tmp_path_factory.mktemp("tokenizer"))
    tf.random.set_seed(1)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_sentence_transformers(
        folder,
        SentenceEncoder(tiny_config(Tokenizer.from_folder(tokenizer).vocab_size)),
        tokenizer,
        max_length=32,
    )
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def edit(path, **values):
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | values))


def without_normalize(folder):
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))


def plain(folder):
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()


def old_layout(folder):
    (folder / "0_Transformer").mkdir()
    for path in folder.iterdir():
        if path.is_file() and path.name != "modules.json":
            path.rename(folder / "0_Transformer" / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))


def no_length_file(folder):
    (folder / "sentence_bert_config.json").unlink()
    edit(folder / "tokenizer_config.json", model_max_length=12)


def stored_as(dtype):
    def convert(folder):
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        converted = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        save_file(converted, folder / "model.safetensors", metadata={"format": "pt"})

    return convert


def torch_file(folder):
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def settings(**values):
    return lambda folder: edit(folder / "config_sentence_transformers.json", **values)


FORMS = {
    "as written": lambda folder: None,
    "no Normalize": without_normalize,
    "plain transformers": plain,
    "0_Transformer": old_layout,
    "truncate_dim": settings(truncate_dim=6),
    "prompts": settings(prompts=PROMPTS),
    "default prompt": settings(prompts=PROMPTS, default_prompt_name="title"),
    "model_max_length": no_length_file,
    "dot": settings(similarity_fn_name="dot"),
    "euclidean": settings(similarity_fn_name="euclidean"),
    "manhattan": settings(similarity_fn_name="manhattan"),
    "pytorch_model.bin": torch_file,
    "newer pooling": lambda folder: (folder / "1_Pooling" / "config.json").write_text(
        '{"embedding_dimension": 16, "pooling_mode": "mean", "include_prompt": true}'
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_gives_what_sentence_transformers_gives(folder, form):
    FORMS[form](folder)
    ours = Encoder.load(folder)
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    assert ours.similarity_fn_name == theirs.similarity_fn_name
    assert ours.get_sentence_embedding_dimension() == theirs.get_embedding_dimension()
    if form != "plain transformers":
        # There it takes the 66 rows of the position table, of which only 64 are usable.
        assert ours.max_seq_length == theirs.max_seq_length
    for method in ("encode", "encode_query", "encode_document"):
        for options in (
            {},
            {"prompt": "over "},
            {"prompt_name": "query"},
            {"normalize_embeddings": True},
            {"truncate_dim": 5, "normalize_embeddings": True},
        ):
            got, wanted = (getattr(model, method)(TEXTS, **options) for model in (ours, theirs))
            np.testing.assert_allclose(got, wanted, atol=2e-6, err_msg=f"{method} {options}")
    embeddings = theirs.encode(TEXTS)
    np.testing.assert_allclose(
        ours.similarity(embeddings, embeddings[:3]),
        theirs.similarity(embeddings, embeddings[:3]),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        ours.similarity_pairwise(embeddings, embeddings[::-1].copy()),
        theirs.similarity_pairwise(embeddings, embeddings[::-1].copy()),
        atol=1e-5,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_are_close(folder, dtype):
    stored_as(getattr(torch, dtype))(folder)
    theirs = sentence_transformers.SentenceTransformer(
        str(folder), device="cpu", model_kwargs={"dtype": torch.float32}
    )
    np.testing.assert_allclose(Encoder.load(folder).encode(TEXTS), theirs.encode(TEXTS), atol=2e-6)


def test_a_saved_folder_keeps_its_settings(folder, tmp_path):
    without_normalize(folder)
    settings(prompts=PROMPTS, default_prompt_name="title", truncate_dim=9)(folder)
    Encoder.load(folder).save_pretrained(tmp_path / "saved")
    before, after = (
        sentence_transformers.SentenceTransformer(str(path), device="cpu")
        for path in (folder, tmp_path / "saved")
    )
    assert after.prompts == before.prompts
    np.testing.assert_array_equal(after.encode(TEXTS), before.encode(TEXTS))
    np.testing.assert_allclose(
        Encoder.load(tmp_path / "saved").encode(TEXTS), after.encode(TEXTS), atol=2e-6
    )


def test_transformers_and_the_server_read_special_tokens_in_a_text_as_text(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = Encoder.load(folder)
    for text in ("not a </s> tag", "<s><mask> [UNK] <pad>", "</s>"):
        ours = encoder.tokenize(text)["input_ids"][0].tolist()
        assert tokenizer(text, truncation=True)["input_ids"] == ours


def test_the_examples_of_the_model_card_run_and_agree(original, tmp_path):
    from rejoinder.models.export import export_model

    export_model(str(original), tmp_path / "exports" / "tiny")
    readme = tmp_path / "exports" / "tiny-sentence-transformers" / "1" / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert len(blocks) == 3
    results = []
    for block in blocks:
        names = {}
        exec(block, names)
        results.append(np.asarray(names["embeddings"]))
    for result in results:
        assert result.shape == (2, 16)
        np.testing.assert_allclose(result, results[0], atol=2e-6)
