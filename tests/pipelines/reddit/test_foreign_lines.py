"""Lines of other data sets are recognized; comments and plain damage are not taken for them."""

import json

import pytest

from rejoinder.pipelines.reddit.foreign_lines import describe
from rejoinder.pipelines.testing import comment

LISTING = {"kind": "Listing", "data": {"children": [{"kind": "t1", "data": comment(1)}]}}
UTTERANCE = {"id": "c1", "conversation_id": "t1", "text": "x", "speaker": "a", "reply-to": None}
OLD_UTTERANCE = {"id": "c1", "root": "t1", "text": "x", "user": "a", "reply_to": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(LISTING), "holds listings of Reddit's own API; give the comments alone"),
        (json.dumps(LISTING, indent=2), "holds listings of Reddit's own API"),
        (json.dumps(UTTERANCE), "holds utterances of ConvoKit; write conversation_id as link_id"),
        (json.dumps(OLD_UTTERANCE), "holds utterances of ConvoKit"),
        ('["a", "b"]', "holds ready pairs; read it with `rejoinder pairs`"),
        ('{"context": "a", "response": "b"}', "holds ready pairs"),
        (json.dumps(comment(1), indent=2), "holds JSON over several lines; write each"),
        (str(comment(1)), "holds Python dictionaries; write each with json.dumps"),
        ("id,parent_id,body\n1,2,x", "is a table (CSV); convert it to JSON lines"),
        ('\ufeff"author"\t"score"\t"body"\n', "is a table (CSV)"),
    ],
)
def test_other_data_sets_are_named(text, message):
    assert describe(f"\n{text}\n".encode()).startswith(message)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        json.dumps(comment(1)).encode(),
        b"{broken",
        b"\xff\xfe",
        b"[]",
        b"12",
        b'{"id": "c1"}',
        b"\0\0",
        b"a text, with a comma",
    ],
)
def test_other_lines_are_only_rejected(data):
    assert describe(data + b"\n") is None
