"""`rejoinder similarity`."""

import sys
import types

import numpy as np
import pytest

from rejoinder.retrieval.similarity import main, similarity


class FakeEncoder:
    """Embeds a text as (number of a's, number of b's)."""

    @classmethod
    def load(cls, path):
        return cls()

    def encode(self, texts):
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)


def test_similarity_is_the_cosine():
    assert similarity(np.array([[2.0, 0], [1, 1], [0, 0]])) == pytest.approx(
        np.array([[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]])
    )


def test_each_text_is_compared_with_each_text(monkeypatch, capsys):
    encoder = types.SimpleNamespace(Encoder=FakeEncoder)
    monkeypatch.setitem(sys.modules, "rejoinder.models.encoder", encoder)
    assert main(["--model", "m", "aa", "ab", "b"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "  1   1.000   0.707   0.000  aa",
        "  2   0.707   1.000   0.707  ab",
        "  3   0.000   0.707   1.000  b",
    ]
    assert "next: rejoinder search --corpus CORPUS --model m" in captured.err


def test_one_text_alone_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--model", "m", "a"])
    assert error.value.code == 2
    assert "at least two texts" in capsys.readouterr().err
