import json
import re
from collections import Counter

import zstandard

from rejoinder.quickstart.phrases import TOPICS, TROUBLES
from rejoinder.quickstart.sample import generate_comments, write_dump


def read_lines(path):
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
    with path.open("rb") as file, decompressor.stream_reader(file) as stream:
        return stream.read().split(b"\n")[:-1]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_dump(tmp_path / name, threads=40, seed=seed)
    same, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert same == again
    assert same != other


def test_the_dump_has_the_irregular_rows_of_real_dumps(tmp_path):
    lines = write_dump(tmp_path / "RC.zst", threads=1500)
    rows, broken = [], 0
    for line in read_lines(tmp_path / "RC.zst"):
        try:
            rows.append(json.loads(line))
        except ValueError:
            broken += 1
    ids = Counter(row["id"] for row in rows)
    parents = {row["parent_id"] for row in rows if row["parent_id"].startswith("t1_")}
    assert len(rows) + broken == lines
    assert broken > 0
    assert max(ids.values()) == 2
    assert "t1_zzzzzz" in parents
    assert {"[deleted]", "[removed]"} <= {row["body"] for row in rows}
    assert {type(row["created_utc"]) for row in rows} == {int, str}
    assert any(len(row["body"]) > 127 for row in rows)


def test_every_reply_has_its_parent_before_it():
    seen = set()
    for comment in generate_comments(threads=100, seed=0):
        if comment["parent_id"].startswith("t1_"):
            assert comment["parent_id"] in seen
        else:
            assert comment["parent_id"] == comment["link_id"]
        seen.add(comment["name"])


def test_replies_share_no_content_word_with_their_question():
    def words(phrases):
        return {word for phrase in phrases for word in re.findall(r"\w{4,}", phrase)}

    for topic in TOPICS:
        assert not words(topic.asked) & words(topic.answered)
    for trouble in TROUBLES:
        assert not words(trouble.asked) & words(trouble.answered)
