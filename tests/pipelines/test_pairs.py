"""`rejoinder pairs` makes the same kind of corpus from pair files."""

import gzip
import json
from collections import Counter

import polars as pl
import pytest
import zstandard

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import pairs, verify
from rejoinder.pipelines.testing import dialogue, ndjson


@pytest.fixture
def run(tmp_path, tokenizer_folder):
    def extract(*inputs, output="pairs", arguments=()):
        folder = str(tmp_path / output)
        paths = ["--input", *map(str, inputs), "--output", folder]
        rest = ["--tokenizer", tokenizer_folder, "--keep-text", "--quiet", *arguments]
        pairs.main([*paths, *rest])
        return folder

    return extract


PAIRS = [(f"question {n // 2}", f"answer number {n}") for n in range(200)]


def found(folder) -> Counter[tuple[str, str]]:
    return Counter(
        (e["context"], e["response"])
        for split in ("train", "test")
        for e in reading.read_examples(folder, split)
    )


def test_both_forms_of_a_line_and_all_codecs_are_read(tmp_path, run):
    lists = "".join(json.dumps(pair) + "\n" for pair in PAIRS[:100])
    objects = "".join(
        json.dumps({"context": a, "response": b, "x": 1}) + "\n" for a, b in PAIRS[100:]
    )
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lists.encode()))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(objects.encode()))
    folder = run(tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.zst")
    assert found(folder) == Counter(PAIRS)
    assert list(verify.problems(folder)) == []
    by_split = {
        split: {e["context"] for e in reading.read_examples(folder, split)}
        for split in ("train", "test")
    }
    assert by_split["train"].isdisjoint(by_split["test"])
    assert len(by_split["test"]) in range(3, 20)


def test_the_order_of_lines_does_not_change_the_bytes(tmp_path, run):
    for name, rows in (("a", PAIRS), ("b", PAIRS[::-1])):
        (tmp_path / name).write_text("".join(json.dumps(pair) + "\n" for pair in rows))
    one, two = run(tmp_path / "a", output="one"), run(tmp_path / "b", output="two")
    shards = [
        [shard.sha256 for split in m.splits.values() for shard in split]
        for m in (load_manifest(one), load_manifest(two))
    ]
    assert shards[0] == shards[1]


def test_equal_pairs_are_kept_once_with_drop_duplicates(tmp_path, run):
    (tmp_path / "a").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS * 3))
    assert found(run(tmp_path / "a"))[PAIRS[0]] == 3
    folder = run(tmp_path / "a", output="once", arguments=["--drop-duplicates"])
    assert found(folder) == Counter(PAIRS)
    assert load_manifest(folder).counters["duplicate_pair"] == 400


def test_lines_that_are_not_pairs_are_rejected_and_counted(tmp_path, run):
    bad = ['["a"]', "[]", '"a"', "{", '["a", 1]', '["a", " "]', '{"context": "a"}', ""]
    text = "".join(json.dumps(pair) + "\n" for pair in PAIRS) + "\n".join(bad) + "\n"
    (tmp_path / "a").write_text(text)
    with pytest.raises(UserError, match="7 of 208 lines were rejected"):
        run(tmp_path / "a")
    counters = load_manifest(run(tmp_path / "a", arguments=["--max-bad-ratio", "0.1"])).counters
    assert {k: v for k, v in counters.items() if k.startswith("rej")} == {
        "rejected/not_a_pair": 4,
        "rejected/broken_json": 1,
        "rejected/wrong_type": 1,
        "rejected/empty_text": 1,
    }


def test_all_forms_and_formats_make_one_corpus(tmp_path, run):
    folder = tmp_path / "in"
    folder.mkdir()
    sets = [[f"caption {n} of {image}" for n in range(3)] for image in range(40)]
    (folder / "sets.jsonl").write_text("".join(json.dumps({"set": s}) + "\n" for s in sets))
    (folder / "table.csv").write_text("question,answer\n" + "".join(f"{a},{b}\n" for a, b in PAIRS))
    (folder / "triplets.jsonl.gz").write_bytes(
        gzip.compress(b"".join(json.dumps([*pair, "no"]).encode() + b"\n" for pair in PAIRS))
    )
    (folder / "README.md").write_text("not read")
    corpus = run(folder)
    expected = Counter({(first, other): 1 for first, *rest in sets for other in rest})
    assert found(corpus) == expected + Counter(PAIRS) + Counter(PAIRS)
    manifest = load_manifest(corpus)
    assert manifest.counters["further_pair"] == 40
    assert sum(entry["lines"] for entry in manifest.inputs) == 440
    assert list(verify.problems(corpus)) == []
    by_split = [
        {example["context"] for example in reading.read_examples(corpus, split)}
        for split in ("train", "test")
    ]
    assert by_split[0].isdisjoint(by_split[1])


def test_the_format_of_a_file_does_not_change_the_shards(tmp_path, run):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    pl.DataFrame(PAIRS, ["a", "b"], orient="row").write_csv(tmp_path / "b.csv")
    pl.DataFrame(PAIRS, ["a", "b"], orient="row").write_parquet(tmp_path / "c.parquet")
    shards = []
    for name in ("a.jsonl", "b.csv", "c.parquet"):
        columns = [] if name == "a.jsonl" else ["--columns", "a", "b"]
        manifest = load_manifest(run(tmp_path / name, output=name[0], arguments=columns))
        shards.append([shard.sha256 for split in manifest.splits.values() for shard in split])
    assert shards[0] == shards[1] == shards[2]


def test_a_file_with_unknown_keys_is_an_error_that_names_them(tmp_path, run):
    lines = '{"prompt": "a", "reply": "b"}\n' * 3
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(UserError, match=r"a\.jsonl: has the keys prompt, reply; wanted are set or"):
        run(tmp_path / "a.jsonl", arguments=["--max-bad-ratio", "1"])
    corpus = run(tmp_path / "a.jsonl", arguments=["--columns", "prompt", "reply"])
    assert found(corpus) == Counter({("a", "b"): 3})
    with pytest.raises(UserError, match="--columns: names 'a' twice"):
        run(tmp_path / "a.jsonl", arguments=["--columns", "a", "a"])


def test_submissions_are_read_by_their_columns(tmp_path, run):
    rows = [{"title": f"title {n}", "selftext": f"text {n}", "id": str(n)} for n in range(9)]
    (tmp_path / "RS_2006-01").write_bytes(ndjson(rows))
    corpus = run(tmp_path / "RS_2006-01", arguments=["--columns", "title", "selftext"])
    assert found(corpus) == Counter((row["title"], row["selftext"]) for row in rows)


def test_a_test_share_of_0_leaves_the_test_split_empty(tmp_path, run):
    (tmp_path / "a").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    folder = run(tmp_path / "a", arguments=["--test-share", "0"])
    assert load_manifest(folder).examples("test") == 0
    with pytest.raises(UserError, match="--test-share"):
        run(tmp_path / "a", arguments=["--test-share", "2"])


def test_the_trainer_mixes_pair_files_with_reddit_by_data_config(tmp_path, run, preprocess):
    from rejoinder.trainer.config import PairData
    from rejoinder.trainer.data.corpora import open_corpora
    from rejoinder.trainer.data.mixture import Mixture
    from rejoinder.trainer.data.sampler import Sampler

    (tmp_path / "RC").write_bytes(ndjson(dialogue(60)))
    preprocess(tmp_path / "RC", output="reddit")
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    folder = run(tmp_path / "qa.jsonl", output="qa")
    config = tmp_path / "data_config.json"
    config.write_text('[{"name": "reddit", "weight": 3}, {"name": "qa.jsonl.gz", "weight": 1}]')

    data = PairData(input_path=str(tmp_path), data_config=str(config))
    corpora = open_corpora(data, "train_data")
    assert [corpus.weight for corpus in corpora] == [3, 1]
    sampler = Sampler(
        [corpus.data_set for corpus in corpora],
        Mixture((3, 1), 0),
        batch_size=8,
        datasets_per_batch=8,
    )
    ours = {tuple(e["response_ids"]) for e in reading.read_examples(folder, "train")}
    drawn = []
    for step in range(40):
        batch = sampler.batch(step)
        splits, values = batch.pairs.response.splits, batch.pairs.response.values
        for row, data_set in enumerate(batch.data_set):
            ids = tuple(values[splits[row] : splits[row + 1]].tolist())
            assert (ids in ours) == (data_set == 1)
            drawn.append(int(data_set))
    assert sum(drawn) / len(drawn) == pytest.approx(0.25, abs=0.03)
