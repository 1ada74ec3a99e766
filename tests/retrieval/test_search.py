"""`rejoinder search` on a corpus and on embedded Parquet, with an encoder without weights."""

import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.retrieval.index import DEFAULT_EFFORT
from rejoinder.retrieval.search import build_parser, main


class FakeEncoder:
    """Embeds a text by counting its letters."""

    loads = 0

    @classmethod
    def load(cls, path):
        cls.loads += 1
        return cls()

    def encode(self, texts):
        rows = [[t.lower().count(letter) for letter in map(chr, range(97, 123))] for t in texts]
        vectors = np.array(rows, np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def stream(self, texts):
        yield self.encode(texts)


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch):
    FakeEncoder.loads = 0
    monkeypatch.setitem(
        sys.modules, "rejoinder.models.encoder", types.SimpleNamespace(Encoder=FakeEncoder)
    )


TEXTS = ["cats and dogs", "a market crash", "snow in march", "cats and dogs", "", "zebra crossing"]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "shard")) as writer:
        for text in TEXTS:
            values = {"response": text, "context": "what?", "subreddit": "news"}
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    shards = {"train": [Shard("shard", len(TEXTS), 0, "")], "test": []}
    manifest = Manifest("demo", shards, 128, "", 1, 10, has_text=["train"])
    (folder / "manifest.json").write_text(manifest.to_json())
    (folder / "COMPLETED").touch()
    return str(folder)


@pytest.fixture
def embedded(tmp_path):
    folder = tmp_path / "embedded"
    folder.mkdir()
    vectors = pa.array(FakeEncoder().encode(TEXTS).tolist(), pa.list_(pa.float32(), 26))
    table = pa.table({"text": TEXTS, "id": [f"c{i}" for i in range(6)], "embedding": vectors})
    pq.write_table(table, folder / "part-0.parquet")
    (folder / "manifest.json").write_text(json.dumps({"spec": {"model": "made-with"}}))
    return str(folder)


def _answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_corpus_is_indexed_once_and_searched(corpus, capsys):
    arguments = ["--corpus", corpus, "--split", "train", "--model", "m", "--json"]
    assert main([*arguments, "--query", "dog and cat"]) == 0
    captured = capsys.readouterr()
    assert "an index of 5 texts" in captured.err
    (result,) = map(json.loads, captured.out.splitlines())
    assert result["query"] == "dog and cat"
    assert result["answers"][0]["text"] == "cats and dogs"
    assert result["answers"][0]["subreddit"] == "news"
    assert [row["text"] for row in result["answers"]].count("cats and dogs") == 1
    assert main([*arguments, "--query", "zebra", "--query", "snow"]) == 0
    captured = capsys.readouterr()
    assert "an index of" not in captured.err
    assert len(captured.out.splitlines()) == 2


def test_the_model_of_embedded_shards_is_read_from_their_manifest(embedded, capsys):
    assert main(["--corpus", embedded, "--query", "markets crashing", "--json", "-k", "2"]) == 0
    (result,) = _answers(capsys)
    assert result["answers"][0]["id"] == "c1"
    assert len(result["answers"]) == 2


def test_queries_with_another_model_are_warned_about(embedded, capsys):
    assert main(["--corpus", embedded, "--query", "snow"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main(["--corpus", embedded, "--query", "snow", "--model", "other"]) == 0
    assert (
        "was built with made-with, and queries are embedded with other" in capsys.readouterr().err
    )


def test_the_default_effort_is_that_of_the_index():
    assert build_parser().get_default("effort") == DEFAULT_EFFORT


def test_the_command_ends_with_what_to_run_next(embedded, capsys):
    assert main(["--corpus", embedded]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    wrote, next_command = captured.err.splitlines()
    assert wrote.startswith(f"{embedded}.index: wrote an index of 5 texts in ")
    assert next_command.startswith(f"next: rejoinder search --index {embedded}.index --query")


def test_building_an_index_of_embeddings_loads_no_model(embedded, tmp_path):
    assert main(["--corpus", embedded, "--index", str(tmp_path / "i")]) == 0
    assert FakeEncoder.loads == 0


def test_queries_are_read_from_standard_input(embedded, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("cats\n\nsnow\n"))
    assert main(["--corpus", embedded, "--query", "-", "--json"]) == 0
    assert [result["query"] for result in _answers(capsys)] == ["cats", "snow"]


def test_scores_and_texts_are_printed(embedded, capsys):
    assert main(["--corpus", embedded, "--query", "snow in march"]) == 0
    assert "1.000  snow in march  [c2]" in capsys.readouterr().out


def test_an_index_of_another_folder_is_not_replaced(embedded, corpus):
    assert main(["--corpus", embedded]) == 0
    index = embedded + ".index"
    with pytest.raises(UserError, match=r"is an index of .*embedded, not of .*corpus"):
        main(["--corpus", corpus, "--index", index, "--model", "m"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: None, "does not name its model"),
        (lambda folder: (folder / "part-0.parquet").write_bytes(b"x"), "not a Parquet file"),
        (lambda folder: (folder / "part-0.parquet").unlink(), "neither a corpus nor a folder"),
        (
            lambda folder: pq.write_table(pa.table({"text": ["a"]}), folder / "part-0.parquet"),
            "needs the columns text and embedding, has text",
        ),
    ],
)
def test_a_folder_that_cannot_be_indexed_is_an_error(embedded, tmp_path, change, message):
    (tmp_path / "embedded/manifest.json").unlink()
    change(tmp_path / "embedded")
    model = [] if "model" in message else ["--model", "m"]
    with pytest.raises(UserError, match=message):
        main(["--corpus", embedded, *model])


def test_wrong_options_are_errors(corpus, tmp_path):
    with pytest.raises(SystemExit) as error:
        main([])
    assert error.value.code == 2
    with pytest.raises(UserError, match="name the model with --model"):
        main(["--corpus", corpus])
    with pytest.raises(UserError, match="holds no index; give a --corpus"):
        main(["--index", str(tmp_path / "none"), "--query", "x"])


def test_segments_of_the_user_are_kept_when_an_index_is_built(embedded, tmp_path):
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "segment-of-my-talk.arrow").touch()
    for overwrite in ([], ["--overwrite"]):
        with pytest.raises(UserError, match=r"i: holds segment-of-my-talk\.arrow and no finished"):
            main(["--corpus", embedded, "--index", str(tmp_path / "i"), *overwrite])
    assert (tmp_path / "i" / "segment-of-my-talk.arrow").exists()


def test_the_old_index_stays_if_a_new_one_cannot_be_built(embedded, corpus, capsys):
    assert main(["--corpus", embedded]) == 0
    (part,) = (path for path in _files(embedded) if path.suffix == ".parquet")
    part.write_bytes(b"x")
    with pytest.raises(UserError, match="not a Parquet file"):
        main(["--corpus", embedded, "--overwrite"])
    with pytest.raises(UserError, match="no such folder"):
        main(["--corpus", "missing", "--index", f"{embedded}.index", "--overwrite"])
    capsys.readouterr()
    assert main(["--index", f"{embedded}.index", "--query", "snow", "--json"]) == 0
    assert _answers(capsys)[0]["answers"][0]["text"] == "snow in march"


def test_a_damaged_index_is_replaced_with_overwrite(embedded, tmp_path):
    assert main(["--corpus", embedded]) == 0
    description = Path(f"{embedded}.index", "index.json")
    values = json.loads(description.read_text())
    description.write_text(json.dumps(values | {"format_version": 0}))
    with pytest.raises(UserError, match="format_version is 0"):
        main(["--corpus", embedded])
    assert main(["--corpus", embedded, "--overwrite"]) == 0
    assert json.loads(description.read_text()) == values


@pytest.mark.parametrize("index", ["", "."])
def test_an_index_is_not_built_over_its_texts_or_around_them(embedded, corpus, index):
    folder = Path(embedded, index) if index else Path(embedded).parent
    before = sorted(Path(embedded).parent.rglob("*"))
    with pytest.raises(UserError, match=r"--index .*: (is|contains) --corpus"):
        main(["--corpus", embedded, "--index", str(folder), "--overwrite"])
    assert sorted(Path(embedded).parent.rglob("*")) == before


def _files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("dtype", ["i8", "f16"])
def test_the_dtype_of_an_index_is_chosen_when_it_is_built(embedded, capsys, dtype):
    query = ["--corpus", embedded, "--query", "markets crashing", "--json"]
    assert main([*query, "--dtype", dtype]) == 0
    (result,) = _answers(capsys)
    assert result["answers"][0]["text"] == "a market crash"
    expected = FakeEncoder().encode(["markets crashing", "a market crash"])
    assert result["answers"][0]["score"] == pytest.approx(expected[0] @ expected[1], abs=5e-3)
    assert main(query) == 0
    with pytest.raises(UserError, match=f"is an index with --dtype {dtype}, not b1; choose"):
        main([*query, "--dtype", "b1"])
    with pytest.raises(UserError, match="the embeddings have 26; use --dtype i8"):
        main([*query, "--dtype", "b1", "--overwrite"])
