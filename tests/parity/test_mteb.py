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


def test_an_sts_task_scores_by_cosine(tmp_path):
    # Imported here, because mteb takes seconds also where this test is deselected.
    mteb = pytest.importorskip("mteb")
    import datasets
    from mteb.models.models_protocols import EncoderProtocol

    from rejoinder.evaluation.metrics import paired_cosine, spearman
    from rejoinder.evaluation.mteb_model import mteb_model

    rows = {
        "sentence1": ["a cat sat", "hello there", "one two three", "zebra"],
        "sentence2": ["the cat sat", "hello", "four five", "zebras"],
        "score": [4.0, 3.5, 0.5, 5.0],
    }

    class Tiny(mteb.get_task("STSBenchmark").__class__):
        def load_data(self, **_):
            self.dataset = {"test": datasets.Dataset.from_dict(rows)}
            self.data_loaded = True

    model = mteb_model(LetterCounts(), name="rejoinder/letters")
    assert isinstance(model, EncoderProtocol)
    cache = mteb.cache.ResultCache(cache_path=tmp_path)
    result = mteb.evaluate(model, Tiny(), cache=cache, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    encode = LetterCounts().encode
    cosine = paired_cosine(encode(rows["sentence1"]), encode(rows["sentence2"]))
    assert scores["cosine_spearman"] == pytest.approx(spearman(cosine, rows["score"]))
