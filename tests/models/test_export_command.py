"""`rejoinder export` with a small MPNet."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from huggingface_hub import ModelCard

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.encoder import Encoder
from rejoinder.models.export import main
from rejoinder.models.saved_model.manifest import VOCABULARY_FILE, ExportManifest
from rejoinder.models.saved_model.publish import versions
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers
from rejoinder.models.testing import tiny_config
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.spans import Vocabulary
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.version_files import check_complete, fetch
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.options import read_models
from rejoinder.serving.parser import make_parser

TEXTS = ["", "The quick brown fox", "over " * 60, "jumps, doesn't it?"]


@pytest.fixture(scope="module")
def model_folder(tokenizer_folder, tmp_path_factory):
    """A sentence-transformers folder of a random MPNet with two layers."""
    encoder = SentenceEncoder(tiny_config(Tokenizer.from_folder(tokenizer_folder).vocab_size))
    encoder({"token_ids": tf.constant([[0, 2]])})
    folder = tmp_path_factory.mktemp("model")
    save_sentence_transformers(folder, encoder, tokenizer_folder, max_length=32)
    return folder


@pytest.fixture(scope="module")
def base(model_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("exports") / "small"
    assert main(["--model", str(model_folder), "--output", str(base)]) == 0
    return base


def test_the_export_gives_the_embeddings_of_the_model(base, model_folder):
    expected = Encoder.load(model_folder).encode(TEXTS)
    model = tf.saved_model.load(str(base / "1"))
    out = model.signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(out["embedding"], expected, atol=1e-5)
    np.testing.assert_allclose(Encoder.load(base).encode(TEXTS), expected, atol=1e-5)
    assert out["truncated"].numpy().tolist() == [False, False, True, False]


def test_the_vocabulary_finds_the_tokens_of_a_text(base):
    vocabulary = Vocabulary.from_json((base / "1" / VOCABULARY_FILE).read_text())
    model = tf.saved_model.load(str(base / "1"))
    ids = model.signatures["tokenize"](text=tf.constant(TEXTS[1:2]))["token_ids"].numpy()[0]
    spans = vocabulary.spans(TEXTS[1], ids.tolist())
    assert [span.special for span in spans] == [True, *[False] * (len(ids) - 2), True]
    assert "".join(span.text for span in spans[1:-1]) == TEXTS[1].replace(" ", "")


def test_loads_in_a_fresh_process_with_only_tensorflow_and_tensorflow_text(base, model_folder):
    program = """
import sys, json
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
out = model.signatures["serving_default"](text=tf.constant(sys.argv[2:]))
foreign = [m for m in sys.modules if m.split(".")[0] in ("rejoinder", "tf_keras")]
print(json.dumps([out["embedding"].numpy().tolist(), foreign]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(base / "1"), *TEXTS],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "2", "TPU_LOAD_LIBRARY": "0"},
    )
    embedding, foreign = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(embedding, Encoder.load(model_folder).encode(TEXTS), atol=1e-5)
    assert foreign == []


def test_an_export_to_a_bucket_is_that_of_a_folder(
    gs, model_folder, base, tmp_path, capsys, monkeypatch
):
    from rejoinder.models import export

    def copy(folder, *_, **__):  # writing it once more takes seconds
        shutil.copytree(base / "1", folder, dirs_exist_ok=True)

    monkeypatch.setattr(export, "write_saved_model", copy)
    arguments = ["--model", str(model_folder), "--output", f"{gs}/exports/small/"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"SavedModel             {gs}/exports/small/1\n" in printed
    assert f"rejoinder serve --model small={gs}/exports/small\n" in printed
    for name in ("small", "small-sentence-transformers"):
        here = storage.list_states(str(base.with_name(name) / "1"))
        assert storage.list_states(f"{gs}/exports/{name}/1").keys() == here.keys()
    folder = f"{gs}/exports/small/1"
    manifest = check_complete(folder, storage.list_states(folder))
    assert manifest == ExportManifest.read(base / "1")
    copy = fetch(folder, str(tmp_path / "cache"), manifest)
    assert (copy / "saved_model.pb").read_bytes() == (base / "1/saved_model.pb").read_bytes()
    here = base.with_name("small-sentence-transformers") / "1" / "model.safetensors"
    there = f"{gs}/exports/small-sentence-transformers/1/model.safetensors"
    assert storage.read_bytes(there) == here.read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        main([*arguments, "--version", "1", "--no-sentence-transformers"])
    with pytest.raises(UserError, match="needs a local --output"):
        main([*arguments, "--push-to-hub", "me/small"])


def test_a_sentence_transformers_folder_is_written_beside_the_versions(base, model_folder):
    twin = base.with_name("small-sentence-transformers") / "1"
    assert (twin / "modules.json").exists()
    np.testing.assert_allclose(
        Encoder.load(twin).encode(TEXTS), Encoder.load(model_folder).encode(TEXTS), atol=1e-6
    )


def test_the_model_card_has_the_name_of_the_model(base):
    card = (base.with_name("small-sentence-transformers") / "1" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sentence-transformers")
    assert "\n# small\n" in card


def test_the_paths_in_the_model_card_exist(base):
    card = (base.with_name("small-sentence-transformers") / "1" / "README.md").read_text()
    for pattern in (r'SentenceTransformer\("(.*?)"\)', r'saved_model\.load\("(.*?)"\)'):
        (path,) = re.findall(pattern, card)
        assert Path(path).is_dir()
    assert "converted the weights without training" in card


def test_the_options_of_the_card_are_written(model_folder, tmp_path, monkeypatch):
    from rejoinder.models import export, hub

    calls = []
    monkeypatch.setattr(hub, "make_repository", lambda name, private: calls.append((name, private)))
    monkeypatch.setattr(
        hub, "push_folder", lambda folder, name: f"https://hub/{name}/{folder.name}"
    )
    monkeypatch.setattr(export, "write_saved_model", lambda folder, *_, **__: None)
    arguments = ["--model", str(model_folder), "--output", str(tmp_path / "x"), "--license", "mit"]
    arguments += ["--language", "en", "de", "--dataset", "me/pairs", "--base-model", "a/b"]
    assert main([*arguments, "--push-to-hub", "me/small", "--private"]) == 0
    assert calls == [("me/small", True)]
    card = ModelCard.load(tmp_path / "x-sentence-transformers" / "1" / "README.md")
    assert card.data.license == "mit"
    assert card.data.language == ["en", "de"]
    assert card.data.datasets == ["me/pairs"]
    assert card.data.base_model == "a/b"
    assert 'SentenceTransformer("me/small")' in card.text
    assert str(tmp_path) not in str(card)


def test_the_settings_of_a_folder_are_exported(model_folder, tmp_path):
    source = shutil.copytree(model_folder, tmp_path / "source")
    path = source / "config_sentence_transformers.json"
    path.write_text(json.dumps({"truncate_dim": 6, "prompts": {"query": "q: "}}))
    modules = json.loads((source / "modules.json").read_text())
    (source / "modules.json").write_text(json.dumps(modules[:2]))
    assert main(["--model", str(source), "--output", str(tmp_path / "cut")]) == 0
    expected = Encoder.load(source).encode(TEXTS)
    assert expected.shape == (4, 6)
    exported = Encoder.load(tmp_path / "cut")
    np.testing.assert_allclose(exported.encode(TEXTS), expected, atol=1e-5)
    twin = Encoder.load(tmp_path / "cut-sentence-transformers" / "1")
    np.testing.assert_allclose(twin.encode(TEXTS), expected, atol=1e-6)
    assert twin.prompts["query"] == "q: "
    assert exported.max_seq_length == 32
    texts = tf.constant(TEXTS)
    served = tf.saved_model.load(str(tmp_path / "cut" / "1"))
    scores = served.signatures["score"](context=texts, response=texts)["score"]
    np.testing.assert_allclose(scores, 1, atol=1e-5)
    tokens, kept = exported.tokenize(TEXTS), twin.tokenize(TEXTS)
    for name in kept:
        np.testing.assert_array_equal(tokens[name], kept[name])
    with pytest.raises(UserError, match="max_length was fixed"):
        exported.max_seq_length = 8
    with pytest.raises(UserError, match="cannot be saved as a sentence-transformers folder"):
        exported.save_pretrained(tmp_path / "saved")


def test_a_default_prompt_is_refused_because_a_saved_model_has_none(model_folder, tmp_path):
    source = shutil.copytree(model_folder, tmp_path / "source")
    settings = {"prompts": {"query": "q: "}, "default_prompt_name": "query"}
    (source / "config_sentence_transformers.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="puts the prompt 'q: ' before every text"):
        main(["--model", str(source), "--output", str(tmp_path / "x")])
    assert not (tmp_path / "x").exists()


def test_packed_rows_give_the_embeddings_of_unpacked_ones(base):
    pad, rng = 1, np.random.default_rng(0)
    rows = [rng.integers(3, 90, length).astype(np.int32) for length in (5, 32, 1, 17, 9, 9, 26)]
    rows += [np.array([0, 7, pad, 8, 2], np.int32), np.array([], np.int32)]
    loaded = ModelVersion(base / "1")
    got, computed = loaded.encode(rows)
    padded = np.full([len(rows), 32], pad, np.int32)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    alone = tf.saved_model.load(str(base / "1")).signatures["encode_tokens"]
    expected = np.concatenate([alone(token_ids=line[None])["embedding"] for line in padded])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert sum(map(len, rows)) <= computed < 32 * len(rows)


@pytest.mark.e2e  # an export of its own
def test_an_export_for_openvino_is_served_without_its_saved_model(
    base, model_folder, tmp_path, monkeypatch, caplog
):
    other = ["--model", str(model_folder), "--output", str(tmp_path / "small")]
    assert main([*other, "--openvino", "--no-sentence-transformers"]) == 0
    expected = ModelVersion(base / "1")
    monkeypatch.setattr(tf.saved_model, "load", None)
    version = ModelVersion(tmp_path / "small/1", EngineOptions("openvino", "float32"))
    texts = [text.encode() for text in TEXTS]
    rows, truncated = version.tokenize(texts)
    assert [row.tolist() for row in rows] == [row.tolist() for row in expected.tokenize(texts)[0]]
    assert truncated.tolist() == [False, False, True, False]
    np.testing.assert_allclose(version.encode(rows)[0], expected.encode(rows)[0], atol=1e-5)
    assert not caplog.records


def test_the_numeric_part_has_no_string_operation(base):
    module = tf.saved_model.load(str(base / "1"))
    graph = module.encode_token_ids.get_concrete_function().graph
    assert tf.string not in {t.dtype for op in graph.get_operations() for t in op.outputs}


def test_the_next_export_is_the_next_version_and_bfloat16_is_close(base, model_folder, capsys):
    arguments = ["--model", str(model_folder), "--output", str(base)]
    assert main([*arguments, "--precision", "bfloat16", "--no-sentence-transformers"]) == 0
    printed = capsys.readouterr().out
    assert f"SavedModel             {base / '2'}" in printed
    assert f"rejoinder serve --model small={base}" in printed
    assert ExportManifest.read(base / "2").precision == "bfloat16"
    embeddings = [Encoder.load(base / version).encode(TEXTS) for version in "12"]
    assert np.min(np.sum(embeddings[0] * embeddings[1], -1)) > 0.99


def test_a_published_version_is_refused(base, model_folder):
    with pytest.raises(UserError, match="never overwritten"):
        main(["--model", str(model_folder), "--output", str(base), "--version", "1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--version", "0"], "must be at least 1, got 0"),
        (["--name", "a/b"], "letters, digits"),
        (["--checkpoint", "ckpt-1"], "no checkpoints"),
        (["--push-to-hub", "a/b", "--no-sentence-transformers"], "cannot be combined"),
    ],
)
def test_wrong_arguments_are_refused(model_folder, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        main(["--model", str(model_folder), "--output", str(tmp_path / "x"), *arguments])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "--output: the path is empty"),
        (".", "is the current folder"),
        ("..", "contains the current folder"),
        ("home", "is the home folder"),
        ("~/export", "did not replace ~"),
        ("gs:/bucket", "two slashes after gs:"),
        ("s3://bucket", "is a whole bucket"),
        ("http://host/model", "http:// is not supported"),
        ("model", "is --model"),
    ],
)
def test_an_output_that_is_a_folder_of_the_user_is_refused(tmp_path, monkeypatch, output, message):
    folder = tmp_path / "one" / "two" / "three"
    for name in ("home", "model"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    with pytest.raises(UserError, match=message):
        main(["--model", "model", "--output", output])
    assert sorted(path.name for path in folder.rglob("*")) == ["home", "model"]


@pytest.mark.e2e
@pytest.mark.parametrize("file", ["saved_model.pb", "variables/*", "assets.extra/*"])
def test_a_killed_export_leaves_nothing_that_a_server_loads(model_folder, tmp_path, file):
    base = tmp_path / "small"
    command = [sys.executable, "-m", "rejoinder", "export", "--model", str(model_folder)]
    command += ["--output", str(base), "--no-sentence-transformers"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(base.glob(f".export-*/{file}")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert list(base.glob(".export-*/")), "the export was over before the kill"
    assert versions(base) == []
    with pytest.raises(UserError, match="holds no version"):
        read_models(make_parser("").parse_args(["--model", f"small={base}"]))
    assert main(command[4:]) == 0
    assert versions(base) == [1]
    assert list(base.glob(".export-*/")) == []
