"""Tokens are found in their text where Hugging Face's fast tokenizer finds them."""

import json

import pytest

from rejoinder.models.tokenizer.spans import Vocabulary
from rejoinder.models.tokenizer.spec import read_spec
from rejoinder.models.tokenizer.testing import hugging_face_tokenizer

TEXTS = [
    "",
    " ",
    "What do you think of it?",
    "  several\tspaces\nand lines ",
    "Naïve café, São Paulo; ÀÉÎ!",
    "e\u0301te\u0301 and i\u0307",
    "日本語 and English日本",
    "don't-stop... (really) <b> #hash ##mark",
    "🙂 emoji 🙂🙂 end",
    "x" * 150 + " after a long word",
    "zero\u200bwidth and nul\0 and \ufffd here",
    "ﬁ ligature Straße İstanbul",
    "</s> <s> [UNK] <unk> are plain text",
    "Ελληνικά русский עברית العربية हिन्दी ไทย 한국어",
]


@pytest.fixture(scope="module")
def both(tokenizer_folder):
    vocabulary = Vocabulary.of(read_spec(tokenizer_folder))
    return Vocabulary.from_json(vocabulary.to_json()), hugging_face_tokenizer(tokenizer_folder)


@pytest.mark.parametrize("text", TEXTS)
def test_places_are_those_of_hugging_face(both, text):
    vocabulary, theirs = both
    expected = theirs.encode(text)
    spans = vocabulary.spans(text, expected.ids)
    assert [span.id for span in spans] == expected.ids
    assert [span.special for span in spans] == [bool(x) for x in expected.special_tokens_mask]
    for span, (start, stop), name in zip(spans, expected.offsets, expected.tokens, strict=True):
        if span.special:
            assert (span.text, span.start, span.stop) == (name, None, None)
        else:
            assert (span.start, span.stop, span.text) == (start, stop, text[start:stop])


def test_a_place_that_cannot_be_found_is_unknown_and_not_wrong(both):
    vocabulary, theirs = both
    ids = theirs.encode("think of it").ids
    spans = vocabulary.spans("something else", ids)[1:-1]
    assert {(span.start, span.stop) for span in spans} == {(None, None)}
    assert "".join(span.text for span in spans) == "thinkofit"


def test_a_cut_row_has_the_places_of_its_tokens(both):
    vocabulary, theirs = both
    ids = theirs.encode("think of it").ids
    spans = vocabulary.spans("think of it", [*ids[:2], ids[-1]])
    assert spans[1].start == 0
    assert spans[-1].special


def test_the_vocabulary_is_json(both):
    assert set(json.loads(both[0].to_json())) == {
        "normalizer",
        "suffix_indicator",
        "tokens",
        "unk_id",
    }
