"""`--submissions` makes the title of a submission the context of the comments on it."""

import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.lines import Reject
from rejoinder.pipelines.reddit.line_parser import parse_line
from rejoinder.pipelines.testing import comment, ndjson
from rejoinder.pipelines.verify import problems


def submission(thread: str, **fields) -> dict:
    return {
        "id": thread,
        "title": f"the title of the submission {thread}",
        "selftext": f"and the text of {thread}",
        "author": "writer",
        "subreddit": "news",
        "created_utc": 1_420_070_000,
        "score": 1,
    } | fields


SUBMISSIONS = [
    submission("t0"),
    submission("t1", selftext="[deleted]"),
    submission("t2", title="long " * 40),
    submission("t3", id="t3_t3"),
    submission("t4", title=None),
]
COMMENTS = [
    line
    for thread in range(6)
    for line in (
        comment(10 * thread, thread=f"t{thread}"),
        comment(10 * thread + 1, f"c{10 * thread}", thread=f"t{thread}"),
        comment(10 * thread + 2, f"c{10 * thread + 1}", thread=f"t{thread}"),
    )
]
REPLIES = {(f"c{10 * t + n}", f"c{10 * t + n + 1}") for t in range(6) for n in range(2)}


@pytest.fixture
def dumps(tmp_path):
    (tmp_path / "RC_2015-01").write_bytes(ndjson(COMMENTS))
    (tmp_path / "RS_2015-01").write_bytes(ndjson(SUBMISSIONS))
    return tmp_path


def examples(folder) -> list[dict]:
    return [e for split in ("train", "test") for e in reading.read_examples(str(folder), split)]


def test_a_comment_on_a_submission_answers_its_title(dumps, preprocess):
    arguments = ["--submissions", "title", "--extra-contexts", "2", "--max-bad-ratio", "1"]
    folder = preprocess(dumps, arguments=arguments)
    made = examples(folder)
    found = {(e["context_id"], e["response_id"]) for e in made}
    assert found == REPLIES | {(f"t3_t{t}", f"c{10 * t}") for t in (0, 1, 3)}
    title = "the title of the submission t0"
    by_response = {e["response_id"]: e for e in made}
    first, second, third = (by_response[f"c{n}"] for n in range(3))
    assert (first["context"], first["context_author"]) == (title, "writer")
    assert "context/0" not in first
    assert second["context/0"] == title
    assert "context/1" not in second
    assert (third["context/0"], third["context/1"]) == (COMMENTS[0]["body"], title)
    assert by_response["c22"]["context/1"] == "long " * 25
    counters = {k: n for k, n in load_manifest(str(folder)).counters.items() if n}
    assert sum(n for k, n in counters.items() if k.startswith("pair/")) == 15
    assert sum(n for k, n in counters.items() if k.endswith("/submission")) == 3
    assert counters["submission/passed"] == 3
    assert counters["submission/filtered/too_long"] == counters["rejected/no_title"] == 1
    assert counters["no_pair/parent_filtered"] == 1  # the comment on t2
    assert counters["no_pair/parent_not_in_input"] == 2  # those on t4 and t5
    assert sum(counters.values()) == len(COMMENTS) + len(SUBMISSIONS)
    assert list(problems(str(folder), 1)) == []


def test_without_the_option_a_folder_is_read_as_before(dumps, preprocess):
    folder = preprocess(dumps)
    assert {(e["context_id"], e["response_id"]) for e in examples(folder)} == REPLIES
    counters = load_manifest(str(folder)).counters
    assert not [name for name in counters if "submission" in name]
    with pytest.raises(UserError, match=r"RS_ files hold submissions.* or --submissions for both"):
        preprocess(dumps / "RS_*", output="other")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (SUBMISSIONS[0], "the title of the submission t0\n\nand the text of t0"),
        (SUBMISSIONS[1], "the title of the submission t1"),
        (submission("t", selftext=None), "the title of the submission t"),
        (submission("t", selftext=5), "wrong_type"),
        (submission("t", title="a\0b"), "nul"),
        (submission(""), "no_id"),
    ],
)
def test_the_text_of_a_submission(line, text):
    parsed = parse_line(ndjson([line]), 1, "title+selftext")
    assert (parsed.reason if isinstance(parsed, Reject) else parsed["body"]) == text
