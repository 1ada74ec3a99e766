"""The command line on a corpus of made-up pairs, with encoders that know the answer or nothing."""

import json
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.evaluation.evaluate import default_output, main, named_models


class FakeEncoder:
    """Embeds by the last character of a text ("good"), or all texts alike ("bad").

    A single character is no word to TF-IDF and BM25, so they cannot use it.
    """

    def __init__(self, path):
        self.good = "good" in path

    load = classmethod(lambda cls, path: cls(path))

    def encode(self, texts, batch_size):
        rows = np.zeros((len(texts), 300), np.float32)
        for row, text in enumerate(texts):
            rows[row, ord(text[-1]) % 300 if self.good else 0] = 1
        return rows


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch):
    module = types.SimpleNamespace(Encoder=FakeEncoder)
    monkeypatch.setitem(sys.modules, "rejoinder.models.encoder", module)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    shards = {}
    for split, numbers in (("test", range(250)), ("train", range(250, 300))):
        name = f"{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for number in numbers:
                sign = chr(0x4E00 + number)
                texts = {
                    "context": f"what is word{number % 125} {sign}",
                    "response": f"word{number % 125} it is {sign}",
                    "subreddit": "news",
                    "thread_id": f"t{number // 2}",
                }
                features = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
                    for key, text in texts.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
        shards[split] = [Shard(name, len(numbers), 0, "")]
    manifest = Manifest("demo", shards, 128, "", 1, 10, has_text=["test", "train"])
    (folder / "manifest.json").write_text(manifest.to_json())
    (folder / "COMPLETED").touch()
    return str(folder)


def _run(tmp_path, *arguments):
    output = tmp_path / "report"
    assert main([*arguments, "--output", str(output)]) == 0
    return json.loads((output / "evaluation.json").read_text()), output


def test_models_and_keyword_methods_side_by_side(tmp_path, corpus, capsys):
    result, output = _run(tmp_path, "--model", "m/good,m/bad", "--data", corpus)
    rows = {row["name"]: row for row in result["ranking"]}
    assert list(rows) == ["good", "bad", "TF-IDF", "BM25", "BM25 (Okapi)"]
    assert rows["good"]["accuracy"] == 1
    assert rows["good"]["mrr"] == 1
    assert rows["good"]["gain"] is None
    assert rows["bad"]["accuracy"] == pytest.approx(0.01)
    assert rows["bad"]["gain"] == pytest.approx(-0.99)
    assert rows["bad"]["recall"]["50"] == 0
    assert 0.3 < rows["TF-IDF"]["accuracy"] < 1
    low, high = rows["TF-IDF"]["accuracy_interval"]
    assert low < rows["TF-IDF"]["accuracy"] < high
    assert result["data"]["batches"] == 2
    assert result["data"]["fitted_on"] == "50 training pairs"
    printed = capsys.readouterr().out
    assert (output / "evaluation.md").read_text() in printed
    assert "mean of 2 batches: the pairs make no more of the 500 asked for" in printed


def test_the_report_lies_where_the_first_model_s_card_takes_it_from(tmp_path):
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    (tmp_path / "run" / "encoder" / "config.json").write_text("{}")
    run = str(tmp_path / "run")
    assert default_output({"run": run, "good": "good"}) == f"{run}/evaluation"
    assert default_output({"good": "good", "run": run}) == "out/evaluation"
    assert default_output({}) == "out/evaluation"


def test_keyword_methods_need_no_model(tmp_path, corpus):
    result, _ = _run(tmp_path, "--data", corpus)
    assert [row["is_model"] for row in result["ranking"]] == [False] * 3
    assert all(row["gain"] is None for row in result["ranking"])


def test_too_few_pairs_leave_the_accuracy_out_and_say_so(tmp_path, corpus, capsys):
    result, _ = _run(tmp_path, "--data", corpus, "--split", "train", "--model", "good")
    assert result["ranking"][0]["accuracy"] is None
    assert result["ranking"][0]["recall"]["1"] == 1
    assert "1-of-100 needs at least 100 pairs: not computed" in capsys.readouterr().out
    result, _ = _run(tmp_path, "--data", corpus, "--split", "train", "--candidates", "50")
    assert result["ranking"][0]["accuracy"] is not None


def test_a_split_without_pairs_is_an_error(tmp_path, corpus):
    with tf.io.TFRecordWriter(f"{corpus}/test.tfrecord-00000-of-00001"):
        pass
    with pytest.raises(UserError, match="the test split holds no pairs"):
        _run(tmp_path, "--data", corpus)


def test_similarity_alone(tmp_path):
    file = tmp_path / "sts.csv"
    file.write_text("text 1,text 1,5\ntext 1,text 2,1\ntext 3,text 4,0\n")
    result, _ = _run(tmp_path, "--model", "good", "--sts", str(file))
    (row,) = result["similarity"]
    assert (row["model"], row["name"], row["pairs"]) == ("good", "sts", 3)
    assert row["spearman"] == pytest.approx(0.8660, abs=1e-4)


def test_paraphrases(tmp_path):
    file = tmp_path / "tweets.csv"
    file.write_text("text 1,text 1,1\ntext 1,text 2,0\ntext 3,text 3,1\n")
    result, output = _run(tmp_path, "--model", "good", "--paraphrase", str(file))
    (row,) = result["paraphrase"]
    assert (row["pairs"], row["positives"], row["average_precision"]) == (3, 2, 1.0)
    assert "Paraphrase detection" in (output / "evaluation.html").read_text()


def test_the_same_command_gives_the_same_figures(tmp_path, corpus):
    first, _ = _run(tmp_path, "--data", corpus)
    second, _ = _run(tmp_path, "--data", corpus)
    assert first["ranking"] == second["ranking"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "good"], "nothing to evaluate on"),
        (["--sts", "file"], "--sts and --paraphrase need a --model"),
        (["--data", "x", "--candidates", "1"], "must be at least 2, got 1"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main([*arguments, "--output", "x"])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_models_are_named_by_their_folder_or_by_the_user():
    assert named_models("runs/a/,b=runs/x/a") == {"a": "runs/a/", "b": "runs/x/a"}
    with pytest.raises(UserError, match="two models are named 'a'"):
        named_models("runs/a,other/a")
