"""`rejoinder convert` writes the pairs of a corpus as files for other programs."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from rejoinder.corpus import checksums, reading
from rejoinder.corpus.naming import SPLITS, TABLE_FORMATS
from rejoinder.errors import UserError
from rejoinder.pipelines import convert, pairs, preprocess, verify
from rejoinder.pipelines.testing import dialogue, ndjson

COLUMNS = [
    *("context", "response", "context_author", "response_author"),
    *("subreddit", "thread_id", "context_id", "response_id", "context/0", "context/1"),
    *("context_author/0", "context_author/1", "context_id/0", "context_id/1"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory, tokenizer_folder):
    """A corpus with all text features."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "RC_2015-01").write_bytes(ndjson(dialogue(60)))
    paths = ["--input", str(folder / "RC_2015-01"), "--output", str(folder / "corpus")]
    options = ["--tokenizer", tokenizer_folder, "--keep-text", "--extra-contexts", "2", "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)
        preprocess.main([*paths, *options])
    return folder / "corpus"


@pytest.fixture
def corpus(tmp_path, made):
    return Path(shutil.copytree(made, tmp_path / "corpus"))


def run(corpus, output, table_format, *arguments):
    convert.main([str(corpus), "--output", str(output), "--format", table_format, *arguments])
    return output


def examples(corpus, split):
    """Returns the text features of the examples of a split, None where one is absent."""
    found = reading.read_examples(str(corpus), split)
    return [{name: example.get(name) for name in COLUMNS} for example in found]


def files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_parquet_holds_every_pair_in_the_order_of_the_shards(tmp_path, corpus):
    output = run(corpus, tmp_path / "out", "parquet")
    for split in SPLITS:
        frame = pl.read_parquet(output / f"data/{split}-*.parquet")
        assert frame.columns == COLUMNS
        assert frame.rows(named=True) == examples(corpus, split)
    assert len(list(output.glob("data/*"))) == 8


def test_json_lines_hold_every_pair_in_the_order_of_the_shards(tmp_path, corpus):
    output = run(corpus, tmp_path / "out", "jsonl")
    for split in SPLITS:
        text = "".join(path.read_text() for path in sorted(output.glob(f"data/{split}-*.jsonl")))
        assert [json.loads(line) for line in text.splitlines()] == examples(corpus, split)


def test_json_of_polyai_has_the_features_of_its_extractor(tmp_path, corpus):
    output = run(corpus, tmp_path / "out", "polyai-json")
    foreign = {"context_id", "response_id", *COLUMNS[-4:]}
    for split in SPLITS:
        expected = [
            {name: value for name, value in example.items() if value is not None}
            for example in examples(corpus, split)
        ]
        text = "".join(path.read_text() for path in sorted(output.glob(f"{split}-*.json")))
        found = [json.loads(line) for line in text.splitlines()]
        assert found == [{k: v for k, v in e.items() if k not in foreign} for e in expected]


@pytest.mark.parametrize("table_format", TABLE_FORMATS)
def test_the_same_corpus_gives_the_same_bytes(tmp_path, corpus, table_format):
    one, two = (run(corpus, tmp_path / name, table_format) for name in ("one", "two"))
    assert files(one) == files(two)
    listed = checksums.from_text((one / "COMPLETED").read_text())
    assert {**listed, "COMPLETED": ""}.keys() == files(one).keys()
    assert all(checksums.sha256((one / name).read_bytes()) == listed[name] for name in listed)


def test_a_corpus_of_pair_files_is_converted(tmp_path, tokenizer_folder):
    rows = [[f"question {n}", f"answer {n}"] for n in range(50)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = str(tmp_path / "corpus")
    paths = ["--input", str(tmp_path / "a.jsonl"), "--output", corpus]
    pairs.main([*paths, "--tokenizer", tokenizer_folder, "--keep-text", "--quiet"])
    output = run(corpus, tmp_path / "out", "parquet")
    frame = pl.read_parquet(output / "data/*.parquet")
    assert sorted(frame.rows()) == sorted(map(tuple, rows))


def test_a_corpus_without_texts_is_an_error_that_names_the_option(tmp_path, tokenizer_folder):
    (tmp_path / "RC_2015-01").write_bytes(ndjson(dialogue(9)))
    corpus = str(tmp_path / "corpus")
    paths = ["--input", str(tmp_path / "RC_2015-01"), "--output", corpus]
    preprocess.main([*paths, "--tokenizer", tokenizer_folder, "--quiet"])
    with pytest.raises(UserError, match=r"train split carries no text;.*--keep-text"):
        run(corpus, tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()


def test_a_damaged_shard_is_an_error_and_leaves_nothing(tmp_path, corpus):
    shard = next(corpus.glob("train.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{shard.name}: its sha256 differs"):
        run(corpus, tmp_path / "out", "jsonl")
    assert not list(tmp_path.glob("out*"))


def test_only_converted_files_are_replaced(tmp_path, corpus):
    output = run(corpus, tmp_path / "out", "jsonl")
    with pytest.raises(UserError, match="holds a finished converted corpus"):
        run(corpus, output, "parquet")
    run(corpus, output, "parquet", "--overwrite")
    assert not list(output.rglob("*.jsonl"))
    (output / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt"):
        run(corpus, output, "jsonl", "--overwrite")
    before = files(corpus)
    with pytest.raises(UserError, match="--output"):
        run(corpus, corpus, "jsonl", "--overwrite")
    assert files(corpus) == before


def test_the_end_names_what_was_written_and_how_to_open_it(tmp_path, corpus, capsys):
    run(corpus, tmp_path / "out", "parquet")
    wrote, following = capsys.readouterr().out.splitlines()[-2:]
    assert wrote == f"wrote {tmp_path}/out: 8 parquet files, pairs: train 224, test 16"
    assert following == f'next: datasets.load_dataset("{tmp_path}/out"); see README.md there'


@pytest.mark.parametrize("table_format", ["parquet", "jsonl"])
def test_preprocess_writes_the_same_files_beside_the_shards(
    tmp_path, made, tokenizer_folder, table_format
):
    dump = made.parent / "RC_2015-01"
    paths = ["--input", str(dump), "--output", str(tmp_path / "corpus"), "--format", table_format]
    options = ["--tokenizer", tokenizer_folder, "--extra-contexts", "2", "--quiet"]
    with pytest.raises(UserError, match=f"--format {table_format}: .* give --keep-text too"):
        preprocess.main([*paths, *options])
    preprocess.main([*paths, *options, "--keep-text"])
    beside, converted = files(tmp_path / "corpus"), files(run(made, tmp_path / "out", table_format))
    tables = {name for name in converted if name.startswith("data/")}
    assert len(tables) == 8
    assert all(beside[name] == converted[name] for name in tables)
    assert (
        beside["README.md"].split(b"## Origin")[0] == converted["README.md"].split(b"## Origin")[0]
    )
    assert {name: beside[name] for name in files(made) if "tfrecord" in name} == {
        name: data for name, data in files(made).items() if "tfrecord" in name
    }
    assert list(verify.problems(str(tmp_path / "corpus"))) == []
    (tmp_path / "corpus" / min(tables)).unlink()
    assert list(verify.problems(str(tmp_path / "corpus"))) == [f"{min(tables)}: missing"]


def test_an_empty_bucket_becomes_an_empty_table_file(tmp_path, tokenizer_folder):
    (tmp_path / "RC_2015-01").write_bytes(ndjson(dialogue(1)))
    paths = ["--input", str(tmp_path / "RC_2015-01"), "--output", str(tmp_path / "corpus")]
    options = ["--tokenizer", tokenizer_folder, "--keep-text", "--format", "parquet", "--quiet"]
    preprocess.main([*paths, *options])
    rows = [pl.read_parquet(p).height for p in sorted((tmp_path / "corpus/data").iterdir())]
    assert sorted(rows) == [0] * 7 + [4]
