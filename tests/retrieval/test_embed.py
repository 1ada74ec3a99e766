"""`rejoinder embed` on each kind of input, with an encoder that needs no weights."""

import hashlib
import json
import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import zstandard

from rejoinder.corpus.embeddings import read_embeddings
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.job import resume
from rejoinder.retrieval import text_readers, texts
from rejoinder.retrieval.embed import main


class FakeEncoder:
    """Embeds a text as (code points, words, first code point)."""

    @classmethod
    def load(cls, path, precision):
        if path == "missing":
            raise UserError("missing: no such model")
        return cls()

    def encode(self, rows):
        return np.array([[len(t), len(t.split()), ord((t or " ")[0])] for t in rows], np.float32)


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "rejoinder.models.encoder", types.SimpleNamespace(Encoder=FakeEncoder)
    )


LINES = [{"id": f"c{i}", "body": f"comment {i} " * (i % 3 + 1), "score": i} for i in range(20)]


def _run(tmp_path, *arguments, name="out"):
    output = tmp_path / name
    assert main(["--output", str(output), "--model", "model", *arguments]) == 0
    manifest = json.loads((output / "manifest.json").read_text())
    shards = [pq.read_table(output / shard["name"]) for shard in manifest["shards"]]
    assert sorted(path.name for path in output.glob("*.parquet")) == [
        shard["name"] for shard in manifest["shards"]
    ]
    return pa.concat_tables(shards), manifest


def _ndjson(path, lines=LINES):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def _check(table, expected):
    assert table["text"].to_pylist() == expected
    encoded = FakeEncoder().encode(expected)
    ours = np.concatenate([read_embeddings(pa.table(b)) for b in _batches(table)])
    assert np.array_equal(ours, encoded)


def _batches(table):
    return [pa.Table.from_batches([batch]) for batch in table.to_batches()]


def test_ndjson_keeps_its_order_and_the_given_columns(tmp_path):
    path = _ndjson(tmp_path / "RC.ndjson")
    table, manifest = _run(tmp_path, "--input", path, "--keep", "id", "score")
    _check(table, [line["body"] for line in LINES])
    assert table.column_names == ["text", "id", "score", "embedding"]
    assert table["score"].to_pylist() == [str(line["score"]) for line in LINES]
    assert (manifest["rows"], manifest["bad_rows"]) == (20, 0)


def test_compressed_dumps_are_read(tmp_path):
    plain = _ndjson(tmp_path / "RC.ndjson")
    with open(plain, "rb") as file:
        packed = zstandard.compress(file.read())
    (tmp_path / "RC.zst").write_bytes(packed)
    table, _ = _run(tmp_path, "--input", str(tmp_path / "RC.zst"))
    _check(table, [line["body"] for line in LINES])


def test_bad_lines_are_counted_and_good_lines_kept(tmp_path, capsys):
    path = tmp_path / "RC.ndjson"
    path.write_text(
        '{"body": "one"}\n{broken\n[1]\n{"body": 3}\n{"body": "\\ud800"}\n{}\n\n{"body": "two"}\n'
    )
    table, manifest = _run(tmp_path, "--input", str(path))
    _check(table, ["one", "two"])
    assert manifest["bad_rows"] == 5
    assert "5 lines left out" in capsys.readouterr().err


def test_parquet_and_the_output_of_another_run_are_read(tmp_path):
    rows = pa.table({"message": ["a b", None, "c"], "who": ["x", "y", "z"]})
    pq.write_table(rows, tmp_path / "in.parquet")
    options = ["--field", "message", "--keep", "who"]
    table, _ = _run(tmp_path, "--input", str(tmp_path / "in.parquet"), *options)
    _check(table, ["a b", "", "c"])
    again, _ = _run(tmp_path, "--input", str(tmp_path / "out"), "--field", "text", name="again")
    assert again["embedding"].to_pylist() == table["embedding"].to_pylist()


def test_the_text_features_of_a_corpus_are_read(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    shards = {}
    for split in ("train", "test"):
        with tf.io.TFRecordWriter(str(folder / split)) as writer:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[split.encode()]))
            features = tf.train.Features(feature={"response": feature})
            writer.write(tf.train.Example(features=features).SerializeToString())
        shards[split] = [Shard(split, 1, 0, "")]
    manifest = Manifest("demo", shards, 128, "", 1, 10, has_text=["train", "test"])
    (folder / "manifest.json").write_text(manifest.to_json())
    (folder / "COMPLETED").touch()
    table, _ = _run(tmp_path, "--input", str(folder), "--field", "response")
    _check(table, ["train", "test"])
    with pytest.raises(UserError, match=r"no text feature 'body'; it has context, response"):
        _run(tmp_path, "--input", str(folder), name="other")


def test_shards_are_the_same_for_any_number_of_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(text_readers, "_CHUNK_BYTES", 1000)
    monkeypatch.setattr(input_files, "_MIN_PART_BYTES", 1)
    # Longer than the first read of a file, so that more than one part has something.
    lines = [json.dumps({"body": f"comment {number} {'x' * 100}"}) for number in range(300)]
    path = tmp_path / "RC.ndjson"
    path.write_text("\n".join(lines))
    options = texts.ReadOptions("body")

    def shards(workers):
        parts = texts.find_parts([str(path)], options, workers)
        assert len(parts) == workers
        read = [list(text_readers.read_batches(part, options)) for part in parts]
        assert sum(map(bool, read)) >= min(workers, 2)
        return {batch.shard: batch.table["text"].to_pylist() for part in read for batch in part}

    assert sum(map(len, shards(1).values())) == 300
    assert len(shards(1)) > 5
    assert shards(1) == shards(2) == shards(3)


def test_long_chunks_become_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(text_readers, "BATCH_ROWS", 8)
    table, manifest = _run(tmp_path, "--input", _ndjson(tmp_path / "RC.ndjson"))
    assert [shard["rows"] for shard in manifest["shards"]] == [8, 8, 4]
    _check(table, [line["body"] for line in LINES])


def test_submissions_are_read_by_their_title_or_text(tmp_path):
    rows = [{"id": f"s{n}", "title": f"title {n}", "selftext": f"text {n}"} for n in range(3)]
    path = _ndjson(tmp_path / "RS_2006-01", rows)
    _ndjson(tmp_path / "RC_2006-01")
    table, _ = _run(tmp_path, "--input", path, "--field", "title", "--keep", "id")
    _check(table, ["title 0", "title 1", "title 2"])
    assert table["id"].to_pylist() == ["s0", "s1", "s2"]
    table, _ = _run(tmp_path, "--input", str(tmp_path), "--field", "selftext", name="folder")
    _check(table, ["text 0", "text 1", "text 2"])
    with pytest.raises(UserError, match=r"RS_2006-01: RS_ files hold submissions.*--field title"):
        _run(tmp_path, "--input", path, name="other")


def test_dtype_float16_stores_float16(tmp_path):
    table, _ = _run(tmp_path, "--input", _ndjson(tmp_path / "RC.ndjson"), "--dtype", "float16")
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), 3)


def test_dtype_int8_stores_int8_of_unit_vectors(tmp_path):
    table, _ = _run(tmp_path, "--input", _ndjson(tmp_path / "RC.ndjson"), "--dtype", "int8")
    assert table.schema.field("embedding").type == pa.list_(pa.int8(), 3)
    exact = FakeEncoder().encode(table["text"].to_pylist())
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(read_embeddings(table) / 127, exact, atol=0.5 / 127 + 1e-6)


def test_dtype_binary_stores_sign_bits(tmp_path, monkeypatch):
    path = _ndjson(tmp_path / "RC.ndjson")
    with pytest.raises(UserError, match="8 numbers into a byte, and the model's embeddings have 3"):
        _run(tmp_path, "--input", path, "--dtype", "binary")
    signs = np.array([[-1, 1] * 8], np.float32)
    monkeypatch.setattr(FakeEncoder, "encode", lambda self, rows: np.repeat(signs, len(rows), 0))
    table, manifest = _run(tmp_path, "--input", path, "--dtype", "binary")
    assert table.schema.field("embedding").type == pa.binary(2)
    assert set(table["embedding"].to_pylist()) == {bytes([0b01010101] * 2)}
    assert manifest["spec"]["dtype"] == "binary"


def test_the_manifest_has_size_and_checksum_of_each_shard(tmp_path):
    _, manifest = _run(tmp_path, "--input", _ndjson(tmp_path / "RC.ndjson"))
    for shard in manifest["shards"]:
        content = (tmp_path / "out" / shard["name"]).read_bytes()
        assert shard["bytes"] == len(content)
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_finished_folder_is_replaced_only_with_overwrite(tmp_path):
    path = _ndjson(tmp_path / "RC.ndjson")
    _run(tmp_path, "--input", path)
    with pytest.raises(
        UserError, match="holds a finished embeddings folder; choose another --output"
    ):
        _run(tmp_path, "--input", path)
    table, _ = _run(tmp_path, "--input", path, "--limit", "3", "--overwrite")
    assert table.num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "missing"], "^missing: no such model$"),
        (["--field", "text"], "out: no row has a text 'text'"),
        (["--input", "nowhere.zst"], r"nowhere\.zst: no such file"),
    ],
)
def test_errors_of_the_user_are_one_message(tmp_path, arguments, message):
    path = _ndjson(tmp_path / "RC.ndjson")
    with pytest.raises(UserError, match=message):
        _run(tmp_path, "--input", path, *arguments)


def test_a_missing_parquet_column_is_an_error_that_lists_the_columns(tmp_path):
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), tmp_path / "in.parquet")
    with pytest.raises(UserError, match="no column 'body'; it has a, b"):
        _run(tmp_path, "--input", str(tmp_path / "in.parquet"))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([["x"]], "list<element: string>"),
        ([{"a": "x"}], "struct<a: string>"),
        (pa.array([[("a", "x")]], pa.map_(pa.string(), pa.string())), "map<string, string"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--field", "title", "--keep", "body"]])
def test_a_column_that_is_no_text_is_an_error_that_names_its_type(
    tmp_path, values, kind, arguments
):
    pq.write_table(pa.table({"body": values, "title": ["x"]}), tmp_path / "in.parquet")
    with pytest.raises(UserError) as caught:
        _run(tmp_path, "--input", str(tmp_path / "in.parquet"), *arguments)
    assert str(caught.value).startswith(f"{tmp_path}/in.parquet: column 'body' holds {kind}")
    assert str(caught.value).endswith(", must hold text")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "text"], "--keep text: the shards have a column .* text of --field body"),
        (["--keep", "embedding"], "--keep embedding: the shards have a column of this name"),
        (["--keep", "id", "id"], "--keep id: is given twice"),
        (["--limit", "-1"], "--limit: must be at least 0, got -1"),
        (["--input", ""], "--input: is empty"),
        (["--quiet"], "--quiet: neither an option of this command"),
        (["--precision", "bfloat16", "stray"], "stray: belongs to no option"),
    ],
)
def test_options_that_cannot_be_meant_are_errors(tmp_path, arguments, message):
    path = _ndjson(tmp_path / "RC.ndjson")
    with pytest.raises(UserError, match=message):
        _run(tmp_path, *(["--input", path] if "--input" not in arguments else []), *arguments)
    assert [p.name for p in tmp_path.iterdir()] == ["RC.ndjson"]


def test_the_end_names_the_output_and_the_next_command(tmp_path, capsys):
    _run(tmp_path, "--input", _ndjson(tmp_path / "RC.ndjson"))
    printed, progress = capsys.readouterr()
    assert progress.startswith("device: ")
    wrote, following, _ = printed.splitlines()
    assert wrote.startswith(f"wrote {tmp_path}/out: 20 texts in 1 shards, ")
    assert following.startswith(f"next: rejoinder search --corpus {tmp_path}/out --query")


@pytest.mark.parametrize("damage", ["not Parquet", "cut", "wrong bytes"])
def test_parquet_files_that_cannot_be_read_are_named(tmp_path, damage):
    path = tmp_path / "in.parquet"
    table = pa.table({"body": [f"text {n}" for n in range(9_000)]})
    pq.write_table(table, path, compression="zstd")
    data = bytearray(path.read_bytes())
    if damage == "not Parquet":
        data = b"PK\x03\x04"
    elif damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "wrong bytes":
        data[1_000:1_200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"in\.parquet: cannot be read as Parquet \(") as caught:
        _run(tmp_path, "--input", str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("name", ["part-00000.parquet", "thesis.tex", "manifest.json"])
def test_files_that_embed_did_not_write_are_kept(tmp_path, name, overwrite):
    source = _ndjson(tmp_path / "RC.ndjson")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(UserError, match=f"out: holds {name} and no finished embeddings") as caught:
        _run(tmp_path, "--input", source, *overwrite)
    assert "--overwrite" not in str(caught.value)
    assert (tmp_path / "out" / name).read_text() == "{}"


def test_a_file_beside_the_shards_protects_them(tmp_path):
    source = _ndjson(tmp_path / "RC.ndjson")
    _run(tmp_path, "--input", source)
    (tmp_path / "out" / "part-mine.parquet").touch()
    for overwrite in ([], ["--overwrite"]):
        with pytest.raises(
            UserError, match=r"holds part-mine\.parquet, which is not a file of the"
        ):
            _run(tmp_path, "--input", source, *overwrite)
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "missing"], "missing: no such model"),
        (["--field", "nothing"], "no row has a text 'nothing'"),
    ],
)
def test_the_old_embeddings_stay_if_a_run_fails(tmp_path, arguments, message):
    source = _ndjson(tmp_path / "RC.ndjson")
    _run(tmp_path, "--input", source)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match=message):
        _run(tmp_path, "--input", source, "--overwrite", *arguments)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(UserError, match=message):
        _run(tmp_path, "--input", source, *arguments, name="new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RC.ndjson", "out"]


def test_an_error_in_the_middle_leaves_the_old_embeddings(tmp_path, monkeypatch):
    source = _ndjson(tmp_path / "RC.ndjson")
    _run(tmp_path, "--input", source)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def failing(self, rows):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakeEncoder, "encode", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        _run(tmp_path, "--input", source, "--overwrite", "--limit", "3")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("output", ["", ".", "..", "in", "link", "~/out", "gs:/out", "model"])
def test_an_output_that_holds_an_input_or_the_user_s_folders_is_refused(
    tmp_path, monkeypatch, output
):
    folder = tmp_path / "one" / "two" / "three"
    for name in ("in", "home", "model"):
        (folder / name).mkdir(parents=True)
    _ndjson(folder / "in" / "RC.ndjson")
    (folder / "model" / "weights").touch()
    (folder / "link").symlink_to("in")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    command = ["--input", "in/RC.ndjson", "--output", output, "--model", "model", "--overwrite"]
    with pytest.raises(UserError, match=r"^--output"):
        main(command)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "RC.ndjson",
        "weights",
    ]


def test_the_embeddings_of_a_corpus_are_not_written_over_it(tmp_path):
    source = _ndjson(tmp_path / "RC.ndjson")
    _run(tmp_path, "--input", source)
    with pytest.raises(UserError, match="contains --input"):
        main([
            "--input", str(tmp_path / "out"), "--field", "text", "--model", "model",
            "--output", str(tmp_path / "out"), "--overwrite",
        ])  # fmt: skip


def _interrupted_embedding(tmp_path, monkeypatch, *arguments):
    """Runs the command with an encoder that fails in the third batch; returns the error."""
    monkeypatch.setattr(text_readers, "BATCH_ROWS", 4)
    monkeypatch.setattr(resume, "_KEPT_SECONDS", 0.0)
    calls = []

    def failing(self, rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise UserError("the machine is full")
        return real(self, rows)

    real = FakeEncoder.encode
    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode", failing)
        with pytest.raises(UserError, match="the machine is full") as caught:
            _run(tmp_path, *arguments)
    return str(caught.value)


def _embedded_texts(monkeypatch):
    found = []
    real = FakeEncoder.encode
    monkeypatch.setattr(
        FakeEncoder, "encode", lambda self, rows: found.extend(rows) or real(self, rows)
    )
    return found


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def test_an_interrupted_run_is_continued_and_embeds_no_text_twice(tmp_path, monkeypatch, capsys):
    arguments = ["--input", _ndjson(tmp_path / "RC.ndjson"), "--keep", "id"]
    error = _interrupted_embedding(tmp_path, monkeypatch, *arguments)
    assert "of finished work is kept in " in error
    found = _embedded_texts(monkeypatch)
    table, _ = _run(tmp_path, *arguments)
    assert "2 of its tasks are finished" in capsys.readouterr().err
    assert found == [line["body"] for line in LINES[8:]]
    _check(table, [line["body"] for line in LINES])
    _run(tmp_path, *arguments, name="undisturbed")
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "undisturbed")
    assert not (tmp_path / "out.staging").exists()


def test_a_shard_that_lost_bytes_in_a_crash_is_embedded_again(tmp_path, monkeypatch):
    arguments = ["--input", _ndjson(tmp_path / "RC.ndjson")]
    _interrupted_embedding(tmp_path, monkeypatch, *arguments)
    shard = tmp_path / "out.staging" / "part-00000-000000-01.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    found = _embedded_texts(monkeypatch)
    _run(tmp_path, *arguments)
    assert found == [line["body"] for line in LINES[4:]]


@pytest.mark.parametrize("further", [["--dtype", "float16"], ["--restart"], ["--limit", "19"]])
def test_other_options_embed_everything_again(tmp_path, monkeypatch, capsys, further):
    arguments = ["--input", _ndjson(tmp_path / "RC.ndjson")]
    _interrupted_embedding(tmp_path, monkeypatch, *arguments)
    found = _embedded_texts(monkeypatch)
    _run(tmp_path, *arguments, *further)
    assert len(found) >= 19
    assert "starting from the beginning: " in capsys.readouterr().err


def test_less_than_a_minute_of_embedding_leaves_nothing(tmp_path, monkeypatch):
    arguments = ["--input", _ndjson(tmp_path / "RC.ndjson")]
    monkeypatch.setattr(FakeEncoder, "encode", lambda self, rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _run(tmp_path, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["RC.ndjson"]
