"""The tokenizer equals Hugging Face's on every code point and on every comment of the dumps."""

import os
import random
from pathlib import Path

import pytest

from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.testing import differences, hugging_face_tokenizer
from rejoinder.pipelines.dumps.texts import TextSummary, read_texts

DATA = Path(os.environ.get("REJOINDER_DATA", Path(__file__).parents[3] / "shared" / "data"))
FOLDER = DATA / "tokenizer"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not FOLDER.exists(), reason=f"no {FOLDER}; set REJOINDER_DATA"),
]
BATCH = 20_000


@pytest.fixture(scope="module")
def ours():
    return Tokenizer.from_folder(FOLDER)


@pytest.fixture(scope="module")
def theirs():
    return hugging_face_tokenizer(FOLDER)


def comments(name):
    return list(read_texts(str(DATA / "reddit_dumps" / name), "body", TextSummary()))


def count_differences(ours, theirs, texts, max_length=128):
    found = []
    for begin in range(0, len(texts), BATCH):
        found += differences(ours, theirs, texts[begin : begin + BATCH], max_length)
    return found


@pytest.mark.parametrize("pattern", ["{}", "a{}b"], ids=["alone", "between letters"])
def test_every_code_point(ours, theirs, pattern):
    texts = [pattern.format(chr(c)) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assert len(texts) == 1_112_064
    assert count_differences(ours, theirs, texts) == []


def test_every_comment_of_the_dumps(ours, theirs):
    names = ("RC_2005-12.zst", "RC_2006-01.zst", "RC_2006-02.bz2", "RC_2015-derived.zst")
    texts = [text for name in names for text in comments(name)]
    assert len(texts) > 300_000
    assert count_differences(ours, theirs, texts) == []


def test_every_truncation_length(ours, theirs):
    texts = random.Random(0).sample(comments("RC_2006-01.zst"), 300)
    for max_length in range(3, 129):
        assert differences(ours, theirs, texts, max_length) == [], max_length


def test_transformers_agrees(ours):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(FOLDER)
    texts = comments("RC_2005-12.zst")
    expected = theirs(texts, truncation=True, max_length=128, split_special_tokens=True)
    assert ours(texts, 128).ids.to_list() == expected["input_ids"]
