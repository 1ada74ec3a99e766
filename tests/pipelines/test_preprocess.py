"""`rejoinder preprocess` from dumps to a corpus: examples, counters, errors, equal bytes."""

import hashlib
import json
import random

import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines.testing import COMPRESS, comment, dialogue, ndjson

LINES = dialogue(60)


def write(path, data: bytes):
    path.write_bytes(data)
    return path


def shard_hashes(folder) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.tfrecord-*"))
    }


def pairs(folder) -> set[tuple[str, str]]:
    return {
        (example["context_id"], example["response_id"])
        for split in ("train", "test")
        for example in reading.read_examples(str(folder), split)
    }


def counters(folder) -> dict[str, int]:
    manifest = load_manifest(str(folder))
    assert sum(manifest.counters.values()) == sum(entry["lines"] for entry in manifest.inputs)
    return {name: count for name, count in manifest.counters.items() if count}


def rejects(folder) -> list[dict]:
    text = (folder / "rejects" / "rejects.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines()]


ALL_PAIRS = {
    (f"c{n}", f"c{n + 1}") for thread in range(60) for n in range(thread * 5, thread * 5 + 4)
}


def test_examples_carry_ids_and_texts(tmp_path, preprocess, tokenizer_folder):
    from transformers import AutoTokenizer

    folder = preprocess(write(tmp_path / "RC", ndjson(LINES)))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    by_id = {line["id"]: line for line in LINES}
    examples = [e for s in ("train", "test") for e in reading.read_examples(str(folder), s)]
    assert len(examples) == len(ALL_PAIRS)
    for example in examples:
        context, response = by_id[example["context_id"]], by_id[example["response_id"]]
        assert example == {
            "context": context["body"],
            "response": response["body"],
            "context_author": context["author"],
            "response_author": response["author"],
            "context_id": context["id"],
            "response_id": response["id"],
            "subreddit": response["subreddit"],
            "thread_id": response["link_id"].removeprefix("t3_"),
            "context_ids": tokenizer(context["body"])["input_ids"],
            "response_ids": tokenizer(response["body"])["input_ids"],
        }


def test_long_texts_are_cut_to_max_length(tmp_path, preprocess):
    folder = preprocess(write(tmp_path / "RC", ndjson(LINES)), arguments=["--max-length", "6"])
    lengths = {len(e["context_ids"]) for e in reading.read_examples(str(folder), "train")}
    assert lengths == {6}


def test_train_has_text_only_with_keep_text(tmp_path, tokenizer_folder):
    from rejoinder.pipelines import preprocess as command

    dump = write(tmp_path / "RC", ndjson(LINES))
    folder = str(tmp_path / "corpus")
    arguments = ["--input", str(dump), "--output", folder, "--tokenizer", tokenizer_folder]
    command.main([*arguments, "--quiet"])
    for example in reading.read_examples(folder, "train"):
        assert set(example) == {"context_ids", "response_ids"}
    assert all("context" in example for example in reading.read_examples(folder, "test"))
    assert load_manifest(folder).has_text == ["test"]


def test_codec_order_and_number_of_files_do_not_change_the_bytes(tmp_path, preprocess):
    lines = [ndjson([line]) for line in LINES]
    hashes = []
    for number, (ending, compress) in enumerate(COMPRESS.items()):
        random.Random(number).shuffle(lines)
        folder = tmp_path / f"in{number}"
        folder.mkdir()
        for part in range(number + 1):
            data = b"".join(lines[part :: number + 1])
            write(folder / f"RC_{part}{ending}", compress(data))
        inputs = sorted(folder.iterdir(), reverse=bool(number % 2))
        made = preprocess(*inputs, output=f"out{number}", arguments=["--num-shards", "3"])
        assert pairs(made) == ALL_PAIRS
        hashes.append(shard_hashes(made))
    assert len(hashes[0]) == 6
    assert all(h == hashes[0] for h in hashes)


@pytest.mark.parametrize("chunk_bytes", [1 << 10, 1 << 12, 1 << 20])
def test_the_chunk_size_does_not_change_the_bytes(tmp_path, preprocess, monkeypatch, chunk_bytes):
    from rejoinder.pipelines.dumps import chunks

    dump = write(tmp_path / "RC", ndjson([*LINES, b"{broken", b"", comment(999)]))
    expected = preprocess(dump, output="a")
    monkeypatch.setitem(chunks.read_chunks.__kwdefaults__, "chunk_bytes", chunk_bytes)
    made = preprocess(dump, output="b")
    assert shard_hashes(made) == shard_hashes(expected)
    assert rejects(made) == rejects(expected)
    assert counters(made) == counters(expected)


def test_globs_folders_and_lists_name_inputs(tmp_path, preprocess):
    folder = tmp_path / "dumps"
    folder.mkdir()
    half = len(LINES) // 2
    first = write(folder / "RC_1", ndjson(LINES[:half]))
    second = write(folder / "RC_2", ndjson(LINES[half:]))
    for number, given in enumerate(([folder / "RC_*"], [folder], [f"{first},{second}"])):
        assert pairs(preprocess(*given, output=f"out{number}")) == ALL_PAIRS


def test_every_line_is_counted_once(tmp_path, preprocess):
    dump = [
        *LINES,
        comment(1000, body="[deleted]"),
        comment(1001, body="[removed]"),
        comment(1002, body="short"),
        comment(1003, body="long " * 40),
        comment(1004, "gone"),
        comment(1005, "c1003", thread="t"),
        comment(1006, "c1006"),
        comment(1007, "c1008"),
        comment(1008, "c1007"),
        LINES[0],
        b"",
        b"{broken",
        b"\0\0",
        b'{"id": "x", "link_id": "t3_y", "body": "\xff"}',
        b'{"id": "x", "link_id": "t3_y", "body": "\\ud800"}',
        {"id": 5, "link_id": "t3_y", "body": "text"},
    ]
    folder = preprocess(write(tmp_path / "RC", ndjson(dump)), arguments=["--max-bad-ratio", "0.1"])
    found = counters(folder)
    assert found.pop("pair/train") + found.pop("pair/test") == len(ALL_PAIRS)
    assert found == {
        "filtered/deleted": 1,
        "filtered/removed": 1,
        "filtered/too_short": 1,
        "filtered/too_long": 1,
        "no_pair/parent_not_in_input": 1,
        "no_pair/parent_filtered": 1,
        "no_pair/cycle": 3,
        "no_pair/top_level": 60,
        "duplicate_id": 1,
        "blank_line": 1,
        "rejected/broken_json": 1,
        "rejected/nul": 1,
        "rejected/invalid_utf8": 1,
        "rejected/lone_surrogate": 1,
        "rejected/wrong_type": 1,
    }
    assert [r["line"] for r in rejects(folder)] == [len(dump) - i for i in (4, 3, 2, 1, 0)]
    assert {r["file"] for r in rejects(folder)} == {str(tmp_path / "RC")}


def test_too_many_rejected_lines_end_the_run_with_their_reasons(tmp_path, preprocess):
    dump = write(tmp_path / "RC", ndjson([*LINES, *[b"{"] * 20, b"\0"]))
    with pytest.raises(UserError, match=r"21 of 321 lines .*broken_json 20, nul 1.*max-bad-ratio"):
        preprocess(dump)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["RC"]


def test_a_line_of_100_megabytes_is_one_rejected_line(tmp_path, preprocess):
    data = ndjson(LINES) + b'{"id": "' + b"x" * (100 << 20) + b'"}\n' + ndjson([comment(999)])
    folder = preprocess(write(tmp_path / "RC.zst", COMPRESS[".zst"](data)))
    assert counters(folder)["rejected/line_too_long"] == 1
    assert pairs(folder) == ALL_PAIRS
    assert [(r["line"], r["reason"]) for r in rejects(folder)] == [(301, "line_too_long")]


def test_bodies_of_300_000_characters_are_filtered_as_too_long(tmp_path, preprocess):
    folder = preprocess(write(tmp_path / "RC", ndjson([*LINES, comment(999, body="é" * 300_000)])))
    assert counters(folder)["filtered/too_long"] == 1


def test_empty_inputs_make_an_empty_corpus(tmp_path, preprocess):
    empty = write(tmp_path / "RC_1", b"")
    archive = write(tmp_path / "RC_2.zst", COMPRESS[".zst"](b""))
    folder = preprocess(empty, archive)
    manifest = load_manifest(str(folder))
    assert manifest.examples("train") == manifest.examples("test") == 0
    assert len(shard_hashes(folder)) == 8


def test_a_damaged_archive_is_an_error_unless_on_truncated_is_keep(tmp_path, preprocess):
    stored = COMPRESS[".zst"](ndjson(LINES)) + COMPRESS[".zst"](ndjson([comment(999)]))[:30]
    dump = write(tmp_path / "RC.zst", stored)
    with pytest.raises(
        UserError, match=rf"RC\.zst: truncated zstd archive at byte offset {len(stored)} "
    ):
        preprocess(dump)
    folder = preprocess(dump, arguments=["--on-truncated", "keep"])
    assert pairs(folder) == ALL_PAIRS
    assert "truncated" in load_manifest(str(folder)).inputs[0]["damage"]


def test_missing_and_unsuitable_inputs_are_errors(tmp_path, preprocess):
    with pytest.raises(UserError, match="RC_9: no such file"):
        preprocess(tmp_path / "RC_9")
    submission = {"id": "x", "title": "a title", "selftext": "", "subreddit": "news"}
    with pytest.raises(UserError, match=r"RS_1: RS_ files hold submissions"):
        preprocess(write(tmp_path / "RS_1", ndjson([submission])))
    with pytest.raises(UserError, match="dump: holds submissions"):
        preprocess(write(tmp_path / "dump", ndjson([submission] * 5)))
    with pytest.raises(UserError, match=r"holds no tokenizer\.json"):
        preprocess(write(tmp_path / "RC", ndjson(LINES)), arguments=["--tokenizer", str(tmp_path)])


def test_an_unknown_option_is_an_error(tmp_path, preprocess):
    dump = write(tmp_path / "RC", ndjson(LINES))
    with pytest.raises(UserError, match="--keep-txt: neither an option"):
        preprocess(dump, arguments=["--keep-txt"])
    with pytest.raises(UserError, match="--workers: must be at least 1"):
        preprocess(dump, arguments=["--workers", "0"])
    with pytest.raises(UserError, match=r"--sample: must be above 0"):
        preprocess(dump, arguments=["--sample", "2"])
    # An option of Beam passes.
    preprocess(dump, arguments=["--job_name", "a-name"])


def test_a_finished_corpus_is_replaced_only_with_overwrite(tmp_path, preprocess):
    dump = write(tmp_path / "RC", ndjson(LINES))
    before = shard_hashes(preprocess(dump))
    with pytest.raises(UserError, match="holds a finished corpus"):
        preprocess(dump)
    other = write(tmp_path / "RC_2", ndjson(LINES[:20]))
    after = shard_hashes(preprocess(other, arguments=["--overwrite"]))
    assert after != before
    assert not list(tmp_path.glob("*.staging"))


def test_a_folder_with_other_files_is_not_changed(tmp_path, preprocess):
    (tmp_path / "corpus").mkdir()
    write(tmp_path / "corpus" / "thesis.txt", b"precious")
    with pytest.raises(UserError, match=r"holds thesis\.txt and no finished corpus"):
        preprocess(write(tmp_path / "RC", ndjson(LINES)))
    assert (tmp_path / "corpus" / "thesis.txt").read_bytes() == b"precious"


def test_tfds_opens_the_folder(tmp_path, preprocess):
    import tensorflow_datasets as tfds

    folder = preprocess(write(tmp_path / "RC", ndjson(LINES)))
    builder = tfds.builder_from_directory(str(folder))
    manifest = load_manifest(str(folder))
    for split in ("train", "test"):
        assert builder.info.splits[split].num_examples == manifest.examples(split)
        found = list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))
        ours = list(reading.read_examples(str(folder), split))
        # TFDS interleaves the shards.
        assert sorted((e["response"].decode(), e["context_ids"].tolist()) for e in found) == sorted(
            (e["response"], e["context_ids"]) for e in ours
        )


def test_tfds_reads_pairs_without_further_contexts(tmp_path, preprocess):
    import tensorflow_datasets as tfds

    arguments = ["--extra-contexts", "2", "--num-shards", "1"]
    folder = preprocess(write(tmp_path / "RC", ndjson(LINES)), arguments=arguments)
    builder = tfds.builder_from_directory(str(folder))
    for split in ("train", "test"):
        found = tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
        ours = list(reading.read_examples(str(folder), split))
        assert [
            (e["response"].decode(), [t.decode() for n in range(2) for t in e[f"context/{n}"]])
            for e in found
        ] == [(e["response"], [e[n] for n in ("context/0", "context/1") if n in e]) for e in ours]
        assert {sum(name.startswith("context/") for name in e) for e in ours} == {0, 1, 2}


def test_extra_contexts_are_the_ancestors_nearest_first(tmp_path, preprocess):
    lines = [*LINES[:5]]
    lines[1] = lines[1] | {"body": "words that go on " * 20}
    folder = preprocess(write(tmp_path / "RC", ndjson(lines)), arguments=["--extra-contexts", "2"])
    examples = [e for s in ("train", "test") for e in reading.read_examples(str(folder), s)]
    above = {e["response_id"]: [e.get("context/0"), e.get("context/1")] for e in examples}
    trimmed = ("words that go on " * 20)[:127].rsplit(" ", 1)[0]
    assert set(above) == {"c3", "c4"}
    assert above["c3"][1] == lines[0]["body"]
    assert trimmed.startswith(above["c3"][0].rstrip()[:100])
    assert len(above["c3"][0]) <= 127
    assert above["c4"] == [lines[2]["body"], above["c3"][0]]
    ids = {e["context"]: e["context_ids"] for e in examples}
    fourth = next(e for e in examples if e["response_id"] == "c4")
    assert fourth["context_ids/0"] == ids[lines[2]["body"]]
    assert len(fourth["context_ids/1"]) > 3
    second = next(e for e in examples if e["response_id"] == "c3")
    assert second["context_ids/0"] == fourth["context_ids/1"]
    assert load_manifest(str(folder)).extra_contexts == 2
    described = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
    assert {"context_ids/0", "context_ids/1"} <= described.keys()


def test_a_pair_without_ancestors_lacks_their_ids(tmp_path, preprocess):
    folder = preprocess(write(tmp_path / "RC", ndjson(LINES)), arguments=["--extra-contexts", "2"])
    examples = [e for s in ("train", "test") for e in reading.read_examples(str(folder), s)]
    for example in examples:
        depth = int(example["response_id"][1:]) % 5 - 1
        found = [name for name in example if name.startswith("context_ids/")]
        assert len(found) == min(depth, 2)
