"""`rejoinder mine` on a small corpus, with an encoder that counts letters."""

import hashlib
import json
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.corpus import checksums, features, reading
from rejoinder.corpus.manifest import Manifest, Shard, load_manifest
from rejoinder.errors import UserError
from rejoinder.models.quantize import quantize
from rejoinder.pipelines import verify
from rejoinder.pipelines.publish import tfds_metadata
from rejoinder.retrieval.mine import main
from rejoinder.retrieval.mining.select import (
    Candidate,
    Pair,
    score_limit,
    select_negatives,
)
from rejoinder.trainer.data.records import PairParts, read_shard

TEXTS = ["context", "response", "subreddit", "thread_id"]
# (context, response, thread): cosines of letter counts decide what is near.
PAIRS = [
    ("aaaa", "aaab", "t0"),
    ("bbbb", "bbba", "t1"),
    ("aaaa aaaa", "aacc", "t2"),
    ("dddd aab", "dddd dddd a", "t3"),
    ("aaaa c", "aabb", "t0"),
]


class LetterCounts:
    """Embeds a text by counting its letters."""

    @classmethod
    def load(cls, path, precision):
        assert precision == "bfloat16"
        return cls()

    def stream(self, texts):
        for text in texts:
            yield np.array([[text.count(chr(97 + i)) for i in range(8)]], np.float32)


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "rejoinder.models.encoder", types.SimpleNamespace(Encoder=LetterCounts)
    )


def example(number, context, response, thread):
    ids = {"context_ids": [0, 10 + number, 2], "response_ids": [0, 20 + number, 2]}
    texts = dict(zip(TEXTS, (context, response, "news", thread), strict=True))
    values = {n: tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for n, v in ids.items()}
    values |= {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
        for name, text in texts.items()
    }
    message = tf.train.Example(features=tf.train.Features(feature=values))
    return message.SerializeToString(deterministic=True)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "vocab.txt").write_text("a\n")
    splits = {}
    for split, parts in (("train", (PAIRS[:3], PAIRS[3:])), ("test", (PAIRS[:1],))):
        splits[split], number = [], 0
        for index, part in enumerate(parts):
            path = folder / f"{split}.tfrecord-{index:05d}-of-{len(parts):05d}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for pair in part:
                    writer.write(example(number, *pair))
                    number += 1
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            splits[split].append(Shard(path.name, len(part), len(data), digest))
    manifest = Manifest(
        *("demo", splits, 128, "", 1, 100),
        has_text=["train", "test"],
        counters={"pair/train": len(PAIRS), "pair/test": 1},
        inputs=[{"path": "RC", "bytes": 1, "sha256": "", "lines": len(PAIRS) + 1}],
    )
    documents = tfds_metadata.documents(manifest, TEXTS) | {"manifest.json": manifest.to_json()}
    for name, text in documents.items():
        (folder / name).write_text(text)
    digests = {
        str(path.relative_to(folder)): checksums.sha256(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
    (folder / "COMPLETED").write_text(checksums.to_text(digests))
    return str(folder)


def mine(corpus, output, *arguments):
    fixed = ["--model", "m", "--precision", "bfloat16", "--output", str(output), "--exact"]
    assert main([corpus, *fixed, *arguments]) == 0


def negatives(folder):
    found = []
    for one in reading.read_examples(str(folder), "train"):
        names = sorted(name for name in one if name.startswith("negative_ids/"))
        assert names == [features.negative_ids(i) for i in range(len(names))]
        found.append([PAIRS[one[name][1] - 20][1] for name in names])
    return found


def test_the_nearest_responses_of_other_threads_are_negatives(corpus, tmp_path, capsys):
    mine(corpus, tmp_path / "out", "--negatives", "2")
    assert negatives(tmp_path / "out") == [
        # Not "aabb", which is of the same thread.
        ["aacc", "bbba"],
        # "bbba" is the true response; "aabb" is nearer than "aaab".
        ["aabb", "aaab"],
        # The response scores 0.71, so "aaab" with 0.95 is too near; "aabb" is of another thread
        # and scores as high as the response itself.
        ["bbba", "dddd dddd a"],
        ["aaab", "aabb"],
        # "aaab" is of the same thread, "aacc" is nearer than the response.
        ["bbba", "dddd dddd a"],
    ]
    printed = capsys.readouterr().out
    assert "5 train pairs with 10 hard negatives" in printed
    assert "5 pairs (100.0%) have 2" in printed
    assert "task.loss.hard_negatives=2" in printed


def test_the_new_corpus_is_complete_and_differs_in_nothing_else(corpus, tmp_path, capsys):
    mine(corpus, tmp_path / "out")
    assert verify.main([str(tmp_path / "out"), "--workers", "1"]) == 0
    old, new = load_manifest(corpus), load_manifest(str(tmp_path / "out"))
    assert new.hard_negatives == 3
    own = {"model": "m", "precision": "bfloat16", "negatives": 3, "share": 0.95}
    own |= {"exact": True, "guide": False}
    assert new.options["mine"] == own
    assert new.splits["test"] == old.splits["test"]
    for before, after in zip(
        reading.read_examples(corpus, "train"),
        reading.read_examples(str(tmp_path / "out"), "train"),
        strict=True,
    ):
        assert {n: v for n, v in after.items() if not n.startswith("negative")} == before
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    sizes = {split["name"]: split["numBytes"] for split in info["splits"]}
    assert sizes["train"] == str(sum(shard.bytes for shard in new.splits["train"]))


def test_the_trainer_reads_the_negatives_of_each_pair(corpus, tmp_path):
    mine(corpus, tmp_path / "out", "--negatives", "1")
    shard = load_manifest(str(tmp_path / "out")).splits["train"][1]
    pairs = read_shard(str(tmp_path / "out"), shard, PairParts(negatives=2))
    assert pairs.negatives[0].values.tolist() == [0, 20, 2, 0, 21, 2]
    assert pairs.negatives[1].lengths.tolist() == [0, 0]


def test_the_trainer_reads_the_vectors_of_the_guide(corpus, tmp_path):
    mine(corpus, tmp_path / "out", "--guide")
    assert verify.main([str(tmp_path / "out"), "--workers", "1"]) == 0
    manifest = load_manifest(str(tmp_path / "out"))
    assert (manifest.guide, load_manifest(corpus).guide) == ("m", "")
    pairs = read_shard(str(tmp_path / "out"), manifest.splits["train"][0], PairParts(guide=True))
    counts = np.concatenate(list(LetterCounts().stream([pair[0] for pair in PAIRS[:3]])))
    units = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    np.testing.assert_array_equal(pairs.extra["guide_context"], quantize(units, "int8"))
    assert pairs.extra["guide_response"].shape == (3, 8)


def test_the_same_input_gives_the_same_bytes(corpus, tmp_path):
    mine(corpus, tmp_path / "one")
    mine(corpus, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in names:
        if name != "tokenizer":
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_record_without_new_lists_keeps_its_bytes(corpus):
    (shard, _) = load_manifest(corpus).splits["train"]
    for record in reading.read_records(corpus, shard):
        assert reading.with_features(record, {}) == record


def test_what_cannot_be_mined_is_refused_before_anything_is_written(corpus, tmp_path):
    manifest = load_manifest(corpus)
    manifest.has_text.remove("train")
    (tmp_path / "corpus" / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(UserError, match=r"carries no text; .*--keep-text"):
        main([corpus, "--model", "m", "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--negatives", "0"], ["--max-score-share", "0"], ["--max-score-share", "1.5"]]
)
def test_options_out_of_range_are_refused(corpus, tmp_path, arguments):
    with pytest.raises(SystemExit):
        main([corpus, "--model", "m", "--output", str(tmp_path / "out"), *arguments])


def candidate(score, number, *, thread="t9", context="other"):
    return Candidate(score, [0, number, 2], thread, context, str(number))


PAIR = Pair(0.8, [0, 5, 2], [0, 6, 2], "t1", "context")


def test_a_limit_lies_below_the_true_score_also_where_that_is_negative():
    assert score_limit(0.8, 0.95) == pytest.approx(0.76)
    assert score_limit(-0.8, 0.95) == pytest.approx(-0.84)
    assert score_limit(0.8, 1.0) == 0.8


def test_candidates_that_may_be_right_or_are_the_pair_itself_are_left_out():
    candidates = [
        candidate(0.9, 10),  # above the true pair
        candidate(0.77, 11),  # above 95 % of it
        candidate(0.76, 12),
        candidate(0.75, 13, thread="t1"),
        candidate(0.74, 14, context="context"),
        candidate(0.73, 5),  # the context's own text
        candidate(0.72, 6),  # the response's own text
        candidate(0.71, 12),  # chosen before
        candidate(0.70, 15),
        candidate(0.69, 16),
    ]
    chosen = select_negatives(PAIR, candidates, count=2, share=0.95)
    assert [one.text for one in chosen] == ["12", "15"]


def test_pairs_of_unknown_threads_are_not_taken_for_one_thread():
    pair = PAIR._replace(thread="")
    chosen = select_negatives(pair, [candidate(0.5, 10, thread="")], count=1, share=0.95)
    assert [one.text for one in chosen] == ["10"]
