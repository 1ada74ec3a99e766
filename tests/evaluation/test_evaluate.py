"""The command on a corpus of generated pairs, with encoders that are always or never right."""

import functools
import json
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.evaluation.during_training import TrainingEvaluation
from rejoinder.evaluation.evaluate import default_output, main, named_models, next_step
from rejoinder.evaluation.linear_map import learn_map


class FakeEncoder:
    """Embeds by the last character of a text ("good"), or all texts equally ("bad").

    "turned" is as "good", but the components of responses are others than those of contexts.
    TF-IDF and BM25 ignore words of one character, so they cannot use it.
    """

    precisions: ClassVar[list[str]] = []

    def __init__(self, path, checkpoint, precision):
        self.precisions.append(precision)
        self.good = "good" in path or "turned" in path or checkpoint == "ckpt-good"
        self.shift = 7 if "turned" in path else 0

    @classmethod
    def load(cls, path, checkpoint, precision):
        return cls(path, checkpoint, precision)

    def encode(self, texts, batch_size):
        rows = np.zeros((len(texts), 300), np.float32)
        for row, text in enumerate(texts):
            shift = 0 if text.startswith("what") else self.shift
            rows[row, (ord(text[-1]) + shift) % 300 if self.good else 0] = 1
        return rows


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch):
    module = types.SimpleNamespace(Encoder=FakeEncoder)
    monkeypatch.setitem(sys.modules, "rejoinder.models.encoder", module)
    monkeypatch.setattr(FakeEncoder, "precisions", [])


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", range(250, 300))


def write_corpus(folder, train):
    folder.mkdir()
    shards = {}
    for split, numbers in (("test", range(250)), ("train", train)):
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


def test_models_and_keyword_baselines_are_compared_on_the_same_pairs(tmp_path, corpus, capsys):
    result, output = _run(tmp_path, "--model", "m/good,m/bad", "--corpus", corpus)
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
    printed, progress = capsys.readouterr()
    assert progress.startswith("device: ")
    assert (output / "evaluation.md").read_text() in printed
    assert "mean of 2 batches: there are not enough pairs for the 500 requested" in printed


def test_a_linear_map_finds_how_responses_are_turned(tmp_path, monkeypatch, capsys):
    corpus = write_corpus(tmp_path / "corpus", [n % 250 for n in range(600)])
    one = functools.partial(learn_map, rates=(10.0,), regularizers=(0.0,))
    monkeypatch.setattr("rejoinder.evaluation.compare.learn_map", one)
    monkeypatch.setattr("rejoinder.evaluation.linear_map._EPOCHS", 8)
    arguments = ["--model", "turned", "--corpus", corpus, "--map", "--no-baselines"]
    result, output = _run(tmp_path, *arguments)
    rows = {row["name"]: row for row in result["ranking"]}
    assert list(rows) == ["turned", "turned, mapped"]
    assert rows["turned"]["accuracy"] < 0.05
    assert rows["turned, mapped"]["accuracy"] > 0.9
    assert rows["turned, mapped"]["gain"] > 0.85
    (found,) = result["maps"]
    assert (found["model"], found["pairs"], found["rate"]) == ("turned", 600, 10.0)
    assert found["accuracy"] > 0.7 > found["unmapped"]  # some of its pairs are equal
    assert "turned: learning a linear map on 600 pairs\n" in capsys.readouterr().err
    assert "| linear map of |" in (output / "evaluation.md").read_text()


def test_a_linear_map_needs_pairs_to_learn_it_on(tmp_path, corpus):
    with pytest.raises(UserError, match=r"--map: the train split of .* holds 50 pairs; .* 500"):
        _run(tmp_path, "--model", "good", "--corpus", corpus, "--map")


def test_the_report_is_in_the_folder_from_which_the_model_card_is_made(tmp_path):
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    (tmp_path / "run" / "encoder" / "config.json").write_text("{}")
    run = str(tmp_path / "run")
    assert default_output({"run": run, "good": "good"}) == f"{run}/evaluation"
    assert default_output({"good": "good", "run": run}) == "out/evaluation"
    assert default_output({}) == "out/evaluation"


def test_the_command_ends_with_what_it_wrote_and_what_to_run_next(tmp_path, corpus, capsys):
    result, output = _run(tmp_path, "--corpus", corpus, "--seed", "3")
    assert result["command"] == f"rejoinder evaluate --corpus {corpus} --seed 3 --output {output}"
    assert capsys.readouterr().out.splitlines()[-4:] == [
        f"  report   {output}/evaluation.html",
        f"  figures  {output}/evaluation.json",
        f"  tables   {output}/evaluation.md",
        f"  next     rejoinder evaluate --model MODEL --corpus {corpus}",
    ]


def test_a_training_run_is_exported_next(tmp_path):
    (tmp_path / "my run" / "encoder").mkdir(parents=True)
    (tmp_path / "my run" / "encoder" / "config.json").write_text("{}")
    run = str(tmp_path / "my run")
    assert next_step({"run": run}, None, "x") == (
        f"rejoinder export --model '{run}' --output out/export/run"
    )
    assert next_step({"hub": "hub"}, None, "x") == "open x/evaluation.html in a browser"


def test_keyword_baselines_need_no_model(tmp_path, corpus):
    result, _ = _run(tmp_path, "--corpus", corpus)
    assert [row["is_model"] for row in result["ranking"]] == [False] * 3
    assert all(row["gain"] is None for row in result["ranking"])


def test_too_few_pairs_have_no_accuracy_and_the_report_gives_the_reason(tmp_path, corpus, capsys):
    result, _ = _run(tmp_path, "--corpus", corpus, "--split", "train", "--model", "good")
    assert result["ranking"][0]["accuracy"] is None
    assert result["ranking"][0]["recall"]["1"] == 1
    assert "1-of-100 needs at least 100 pairs: not computed" in capsys.readouterr().out
    result, _ = _run(tmp_path, "--corpus", corpus, "--split", "train", "--candidates", "50")
    assert result["ranking"][0]["accuracy"] is not None


def test_a_split_without_pairs_is_an_error(tmp_path, corpus):
    with tf.io.TFRecordWriter(f"{corpus}/test.tfrecord-00000-of-00001"):
        pass
    with pytest.raises(UserError, match="the test split holds no pairs"):
        _run(tmp_path, "--corpus", corpus)


def test_similarity_needs_no_corpus(tmp_path):
    file = tmp_path / "sts.csv"
    file.write_text("text 1,text 1,5\ntext 1,text 2,1\ntext 3,text 4,0\n")
    result, _ = _run(tmp_path, "--model", "good", "--sts", str(file))
    (row,) = result["similarity"]
    assert (row["model"], row["name"], row["pairs"]) == ("good", "sts", 3)
    assert row["spearman"] == pytest.approx(0.8660, abs=1e-4)


def test_paraphrase_detection_needs_no_corpus(tmp_path):
    file = tmp_path / "tweets.csv"
    file.write_text("text 1,text 1,1\ntext 1,text 2,0\ntext 3,text 3,1\n")
    result, output = _run(tmp_path, "--model", "good", "--paraphrase", str(file))
    (row,) = result["paraphrase"]
    assert (row["pairs"], row["positives"], row["average_precision"]) == (3, 2, 1.0)
    assert "Paraphrase detection" in (output / "evaluation.html").read_text()


def test_the_same_command_gives_the_same_figures(tmp_path, corpus):
    first, _ = _run(tmp_path, "--corpus", corpus)
    second, _ = _run(tmp_path, "--corpus", corpus)
    assert first["ranking"] == second["ranking"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "good"], "nothing to evaluate on"),
        (["--sts", "file"], "--sts, --paraphrase and --mteb need a --model"),
        (["--corpus", "x", "--candidates", "1"], "must be at least 2, got 1"),
        (["--corpus", "x", "--map"], "--map needs a --model and a --corpus"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main([*arguments, "--output", "x"])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_models_are_named_by_their_folder_or_by_the_user():
    assert named_models("runs/a/,b=runs/x/a") == {"a": "runs/a/", "b": "runs/x/a"}
    assert named_models("gs://bucket/a,sentence-transformers/b") == {
        "a": "gs://bucket/a",
        "b": "sentence-transformers/b",
    }
    with pytest.raises(UserError, match="two models are named 'a'"):
        named_models("runs/a,other/a")


@pytest.mark.parametrize("name", ["evaluation.md", "evaluation.html", "evaluation.json"])
def test_a_file_that_evaluate_did_not_write_is_kept(tmp_path, corpus, name):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / name).write_text('{"years": "of work"}')
    (tmp_path / "report" / "thesis.tex").touch()
    with pytest.raises(UserError, match=f"report: holds {name}, which `rejoinder evaluate` did"):
        _run(tmp_path, "--corpus", corpus)
    assert (tmp_path / "report" / name).read_text() == '{"years": "of work"}'
    (tmp_path / "report" / name).unlink()
    for _ in range(2):  # its own report is written again
        _run(tmp_path, "--corpus", corpus)
    assert (tmp_path / "report" / "thesis.tex").exists()


def test_a_refused_evaluation_leaves_no_folder(tmp_path):
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    (tmp_path / "run" / "encoder" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="missing"):
        main(["--model", str(tmp_path / "run"), "--corpus", str(tmp_path / "missing")])
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["encoder"]
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"file: is a file; --output .*file/report must be a folder"
    ):
        main(["--corpus", "missing", "--output", str(tmp_path / "file" / "report")])


@pytest.mark.parametrize("output", ["", "~/report", "gs:/report"])
def test_a_path_that_cannot_be_meant_is_an_error_before_the_evaluation(output, monkeypatch):
    monkeypatch.setattr("rejoinder.evaluation.evaluate.check_writable", lambda path: 1 / 0)
    with pytest.raises(UserError, match=r"^--output"):
        main(["--corpus", "missing", "--output", output])


def test_a_checkpoint_is_that_of_the_first_model(tmp_path, corpus):
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    (tmp_path / "run" / "encoder" / "config.json").write_text("{}")
    run = str(tmp_path / "run")
    chosen = ["--checkpoint", "ckpt-good", "--no-baselines"]
    result, _ = _run(tmp_path, "--model", f"{run},last={run}", "--corpus", corpus, *chosen)
    assert [row["accuracy"] for row in result["ranking"]] == [1, pytest.approx(0.01)]
    # The card of an exported checkpoint is made from the evaluation of that checkpoint.
    assert default_output({"run": run}, "ckpt-8") == f"{run}/evaluation/ckpt-8"
    assert default_output({"run": run}, f"{run}/ckpt-8") == f"{run}/evaluation/ckpt-8"
    assert next_step({"run": run}, None, "x", "ckpt-8") == (
        f"rejoinder export --model {run} --checkpoint ckpt-8 --output out/export/run"
    )


@pytest.mark.parametrize("given", [[], ["--precision", "float32"], ["--precision", "bfloat16"]])
def test_all_models_compute_in_the_given_precision(tmp_path, corpus, given):
    _run(tmp_path, "--model", "good,bad", "--corpus", corpus, "--no-baselines", *given)
    assert FakeEncoder.precisions == [given[-1] if given else "float32"] * 2


@pytest.mark.parametrize("models", [[], ["--model", "some/hub-name"]])
def test_a_checkpoint_without_a_training_run_is_an_error(tmp_path, corpus, models):
    with pytest.raises(UserError, match=r"--checkpoint ckpt-8: the first --model must be the fol"):
        _run(tmp_path, *models, "--corpus", corpus, "--checkpoint", "ckpt-8")


@pytest.mark.parametrize("model", ["good", "bad"])
def test_the_scores_inside_training_are_those_of_the_command(tmp_path, corpus, model):
    file = tmp_path / "my sts.csv"
    file.write_text("text 1,text 1,5\ntext 1,text 2,1\ntext 3,text 4,0\ntext 5,text 5,3\n")
    arguments = ["--model", model, "--corpus", corpus, "--sts", str(file), "--no-baselines"]
    result, _ = _run(tmp_path, *arguments, "--batches", "2")
    evaluation = TrainingEvaluation([str(file)], corpus, 2)
    encoder = FakeEncoder(model, None, "float32")
    scores = evaluation(lambda texts: encoder.encode(texts, None))
    assert list(scores) == evaluation.names == ["one_of_100", "sts_my_sts"]
    assert scores["one_of_100"] == result["ranking"][0]["accuracy"]
    expected = result["similarity"][0]["spearman"]
    assert scores["sts_my_sts"] == pytest.approx(expected, nan_ok=True) or expected is None


def test_data_for_scores_inside_training_is_checked_when_the_run_starts(tmp_path, corpus):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dev.csv").write_text("x,y,1\n")
    files = [str(tmp_path / folder / "dev.csv") for folder in ("a", "b")]
    with pytest.raises(UserError, match=r"task\.evaluation\.sts: two files .* sts_dev; rename"):
        TrainingEvaluation(files, "", 1)
    with pytest.raises(UserError, match=r"none\.csv"):
        TrainingEvaluation([str(tmp_path / "none.csv")], "", 1)
    with tf.io.TFRecordWriter(f"{corpus}/test.tfrecord-00000-of-00001"):
        pass
    with pytest.raises(UserError, match=r"holds 0 pairs; task\.evaluation\.corpus needs at least"):
        TrainingEvaluation([], corpus, 1)
