"""A run continues over a corpus in which comments were forgotten only if it is asked for."""

import json
from types import SimpleNamespace

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer import resume_check
from rejoinder.trainer.config import ExperimentConfig


def corpus(digests: str, removals=()) -> SimpleNamespace:
    """Returns a corpus with a shard for each letter, its sha256."""
    return SimpleNamespace(
        data_set=SimpleNamespace(
            name="reddit", shards=[SimpleNamespace(sha256=letter) for letter in digests]
        ),
        weight=1,
        examples=len(digests),
        manifest=SimpleNamespace(tokenizer="t", removals=list(removals)),
    )


def replaced(**shards: str) -> dict:
    return {"replaced": {"train": {name[1:]: sha256 for name, sha256 in shards.items()}}}


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.setattr(resume_check, "latest_checkpoint", lambda folder: "ckpt-1")

    def run(before, now, allowed: bool) -> None:
        config = ExperimentConfig()
        config.task.train_data.allow_new_data = allowed
        described = resume_check.describe(config, [before])
        (tmp_path / "data.json").write_text(json.dumps(described))
        resume_check.check_data(str(tmp_path), config, [now])

    return run


# The second shard was replaced, then the corpus was extended, then the first shard replaced.
NOW = corpus("XYcd", [replaced(_1="b"), replaced(_0="a")])


@pytest.mark.parametrize("before", ["ab", "aY", "aYc", "aYcd"])
def test_a_corpus_from_which_pairs_were_removed_comes_from_its_earlier_versions(check, before):
    with pytest.raises(UserError, match="because comments were forgotten in it; give --allow-new"):
        check(corpus(before), NOW, allowed=False)
    check(corpus(before), NOW, allowed=True)


@pytest.mark.parametrize("before", ["aX", "b", "aYcde", "zY"])
def test_another_corpus_is_refused_also_with_the_option(check, before):
    with pytest.raises(UserError, match=r"changed \(.*\) since its checkpoint; restore it"):
        check(corpus(before), NOW, allowed=True)
