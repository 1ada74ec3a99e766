"""The pairs of a row in each form."""

import pytest

from rejoinder.pipelines.dumps.lines import BadLineError
from rejoinder.pipelines.pair_files import forms


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (["a", "b"], [("a", "b")]),
        (["a", "b", "a negative"], [("a", "b")]),
        (["a", "b", 0.75], [("a", "b")]),
        ({"set": ["a", "b", "c"]}, [("a", "b"), ("a", "c")]),
        ({"set": ["a", "b", "a", "b"]}, [("a", "b")]),
        ({"query": "a", "pos": ["b"], "neg": ["c"]}, [("a", "b")]),
        ({"query": "a", "pos": ["b", "c"]}, [("a", "b"), ("a", "c")]),
        ({"query": "a", "pos": "b"}, [("a", "b")]),
        ({"anchor": "a", "positive": "b", "negative": "c"}, [("a", "b")]),
        ({"question": "a", "answer": "b"}, [("a", "b")]),
        ({"sentence1": "a", "sentence2": "b", "score": 4.2}, [("a", "b")]),
        ({"title": "a", "body": "b"}, [("a", "b")]),
        ({"response": "b", "context": "a", "id": 7}, [("a", "b")]),
        ({"title": "x", "body": "y", "question": "a", "answer": "b"}, [("a", "b")]),
    ],
)
def test_each_form_gives_its_pairs(row, expected):
    assert forms.pairs_of(row) == expected


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        ({"prompt": "a", "reply": "b", "context": "x", "response": "y"}, ("prompt", "reply"), "ab"),
        ({"set": ["x", "y"], "b": "b", "a": "a"}, ("a", "b"), "ab"),
        (["a", "x", "b"], ("1", "3"), "ab"),
        ({"1": "a", "2": "b"}, ("1", "2"), "ab"),
    ],
)
def test_named_columns_come_before_the_known_forms(row, columns, expected):
    assert forms.pairs_of(row, columns) == [tuple(expected)]


@pytest.mark.parametrize(
    ("row", "columns", "reason"),
    [
        (["a"], (), "not_a_pair"),
        ([], (), "not_a_pair"),
        ("a", (), "not_a_pair"),
        (None, (), "not_a_pair"),
        ({"context": "a"}, (), "not_a_pair"),
        ({"query": "a", "pos": []}, (), "not_a_pair"),
        ({"set": ["a"]}, (), "not_a_pair"),
        ({"set": ["a", "a"]}, (), "not_a_pair"),
        ({"set": []}, (), "not_a_pair"),
        ({"set": "a"}, (), "wrong_type"),
        ({"set": ["a", "b", 3]}, (), "wrong_type"),
        (["a", 1], (), "wrong_type"),
        (["a", None], (), "wrong_type"),
        ([["a"], "b"], (), "wrong_type"),
        (["a", " "], (), "empty_text"),
        ({"query": "a", "pos": ["b", ""]}, (), "empty_text"),
        (["a", "b\0"], (), "nul"),
        (["a", "\ud800"], (), "lone_surrogate"),
        ({"context": "a", "response": "b"}, ("a", "b"), "not_a_pair"),
        (["a", "b"], ("1", "3"), "not_a_pair"),
        (["a", "b"], ("0", "1"), "not_a_pair"),
        (["a", "b"], ("context", "response"), "not_a_pair"),
    ],
)
def test_a_row_that_is_not_a_pair_is_rejected_with_its_reason(row, columns, reason):
    with pytest.raises(BadLineError, match=f"^{reason}$"):
        forms.pairs_of(row, columns)


def test_a_set_gives_as_many_pairs_as_it_has_further_texts():
    texts = [f"caption {number}" for number in range(1000)]
    pairs = forms.pairs_of({"set": texts})
    assert len(pairs) == 999
    assert {context for context, _ in pairs} == {"caption 0"}


def test_the_error_about_unknown_keys_names_those_found_and_those_wanted():
    error = str(forms.unknown_keys_error("x.jsonl", {"prompt": 1, "reply": 2}))
    assert error.startswith("x.jsonl: has the keys prompt, reply; wanted are set or context + ")
    assert "query + pos" in error
    assert error.endswith("--columns A B (1 2 if there is no header)")
    named = str(forms.unknown_keys_error("x.csv", ["a"] * 30, ("q", "r" * 99)))
    assert named == f"x.csv: has the keys {'a, ' * 20}…, not both q, {'r' * 40}"
