"""mteb runs an encoder of this project."""

import numpy as np
import pytest

pytestmark = pytest.mark.parity


class LetterCounts:
    """An encoder without weights: counts of letters."""

    dimension = 26

    def encode(self, texts):
        rows = [
            [text.lower().count(letter) for letter in map(chr, range(97, 123))] for text in texts
        ]
        return np.array(rows, np.float32)


ROWS = {
    "sentence1": ["a cat sat", "hello there", "one two three", "zebra"],
    "sentence2": ["the cat sat", "hello", "four five", "zebras"],
    "score": [4.0, 3.5, 0.5, 5.0],
}


def tiny_task(mteb):
    """Returns an STS task of four pairs."""
    import datasets

    class Tiny(mteb.get_task("STSBenchmark").__class__):
        def load_data(self, **_):
            self.dataset = {"test": datasets.Dataset.from_dict(ROWS)}
            self.data_loaded = True

    return Tiny()


def test_the_command_runs_a_task_with_a_model(tmp_path, monkeypatch, capsys):
    mteb = pytest.importorskip("mteb")
    import json

    from rejoinder.evaluation.evaluate import main
    from rejoinder.evaluation.metrics import paired_cosine, spearman
    from rejoinder.models.encoder import Encoder
    from rejoinder.models.sentence_encoder import SentenceEncoder
    from rejoinder.models.sentence_transformers import save_sentence_transformers
    from rejoinder.models.testing import tiny_config
    from rejoinder.models.tokenizer import Tokenizer
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    texts = [*ROWS["sentence1"], *ROWS["sentence2"]] * 3
    tokenizer = train_wordpiece(texts, 80, tmp_path / "tokenizer")
    save_sentence_transformers(
        tmp_path / "model",
        SentenceEncoder(tiny_config(Tokenizer.from_folder(tokenizer).vocab_size)),
        tokenizer,
    )
    task = tiny_task(mteb)
    monkeypatch.setattr(mteb, "get_task", lambda name: task)
    command = ["--model", str(tmp_path / "model"), "--mteb", "STSBenchmark"]
    assert main([*command, "--output", str(tmp_path / "report")]) == 0
    (result,) = json.loads((tmp_path / "report" / "evaluation.json").read_text())["mteb"]
    encode = Encoder.load(tmp_path / "model").encode
    cosine = paired_cosine(encode(ROWS["sentence1"]), encode(ROWS["sentence2"]))
    assert result["metric"] == "cosine_spearman"
    assert result["score"] == pytest.approx(spearman(cosine, ROWS["score"]), abs=1e-4)


def test_an_sts_task_scores_by_cosine(tmp_path):
    # Imported here, because mteb takes seconds also where this test is deselected.
    mteb = pytest.importorskip("mteb")
    from mteb.models.models_protocols import EncoderProtocol

    from rejoinder.evaluation.metrics import paired_cosine, spearman
    from rejoinder.evaluation.mteb_model import mteb_model

    model = mteb_model(LetterCounts(), name="rejoinder/letters")
    assert isinstance(model, EncoderProtocol)
    cache = mteb.cache.ResultCache(cache_path=tmp_path)
    result = mteb.evaluate(model, tiny_task(mteb), cache=cache, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    encode = LetterCounts().encode
    cosine = paired_cosine(encode(ROWS["sentence1"]), encode(ROWS["sentence2"]))
    assert scores["cosine_spearman"] == pytest.approx(spearman(cosine, ROWS["score"]))
