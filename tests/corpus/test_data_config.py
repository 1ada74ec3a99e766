import json

import pytest

from rejoinder.corpus.data_config import DataSource, corpus_name, parse_data_config
from rejoinder.errors import UserError


def test_the_original_format_is_read():
    text = json.dumps(
        [
            {"name": "reddit/RC_2015.jsonl.gz", "weight": 3, "lines": 726_484_430},
            {"name": "stackexchange", "weight": 1},
        ]
    )
    assert parse_data_config(text) == [
        DataSource("reddit/RC_2015", 3, 726_484_430),
        DataSource("stackexchange", 1, None),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jsonl.gz", "a"), ("a.json.zst", "a"), ("v1.5", "v1.5"), ("a/b.ndjson", "a/b")],
)
def test_file_endings_are_removed_from_a_corpus_name(name, expected):
    assert corpus_name(name) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("{}", "non-empty list"),
        ("[]", "non-empty list"),
        ('["reddit"]', r"\[0\]: must be an object"),
        ('[{"name": "a", "weight": 1}, {"name": "b", "weight": 0}]', r"\[1\]\.weight"),
        ('[{"name": "a", "weight": 1.5}]', r"\[0\]\.weight"),
        ('[{"name": "a", "weight": true}]', r"\[0\]\.weight"),
        ('[{"name": "", "weight": 1}]', r"\[0\]\.name"),
        ('[{"weight": 1}]', r"\[0\]\.name"),
        ('[{"name": "a", "weight": 1, "lines": -1}]', r"\[0\]\.lines"),
        ('[{"name": "a", "weights": 1}]', "unknown key 'weights'"),
        ('[{"name": "a", "weight": 1, "weight": 2}]', "'weight' is given twice in {"),
        ('[{"name": "a.jsonl", "weight": 1}, {"name": "a", "weight": 2}]', "listed twice"),
    ],
)
def test_the_message_names_the_wrong_entry_and_key(text, message):
    with pytest.raises(UserError, match=message):
        parse_data_config(text)
