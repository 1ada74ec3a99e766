"""Each filter drops the comments that it names, and counts them under its own name."""

import polars as pl
import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.pipelines.reddit import filters, markdown
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.testing import comment, dialogue, ndjson

GOOD = {
    "body": "a perfectly good comment",
    "author": "alice",
    "subreddit": "news",
    "score": "5",
    "over_18": "false",
}


def dropped_by(options: ExtractOptions, **fields) -> str | None:
    row = pl.DataFrame(
        {k: [v] for k, v in (GOOD | fields).items()}, schema_overrides={"score": pl.String}
    )
    built = filters.build_filters(options)
    reason = filters.with_length(row).select(filters.reason(built)).item()
    return None if reason == filters.PASSED else built[reason - 1].name


CASES = [
    ({}, {}, None),
    ({}, {"body": "[deleted]"}, "deleted"),
    ({}, {"body": "[removed]"}, "removed"),
    ({}, {"body": "x" * 8}, "too_short"),
    ({}, {"body": "é" * 9}, None),
    ({}, {"body": "é" * 127}, None),
    ({}, {"body": "é" * 128}, "too_long"),
    ({"min_chars": 30}, {}, "too_short"),
    ({"max_chars": 10}, {}, "too_long"),
    ({"drop_removed_by_reddit": True}, {"body": "[ Removed by Reddit ]"}, "removed_by_reddit"),
    ({}, {"body": "[ Removed by Reddit ]"}, None),
    ({"min_score": 5}, {"score": "5"}, None),
    ({"min_score": 6}, {"score": "5"}, "low_score"),
    ({"min_score": -3}, {"score": "-3"}, None),
    ({"min_score": 0}, {"score": None}, "low_score"),
    ({"subreddits": ("News", "pics")}, {}, None),
    ({"subreddits": ("pics",)}, {}, "subreddit_not_listed"),
    ({"block_subreddits": ("NEWS",)}, {}, "subreddit_blocked"),
    ({"block_subreddits": ("pics",)}, {}, None),
    ({"drop_over_18": True}, {"over_18": "true"}, "over_18"),
    ({"drop_over_18": True}, {"over_18": None}, None),
    ({"drop_bots": True}, {"author": "AutoModerator"}, "bot"),
    ({"drop_bots": True}, {"author": "RemindMeBot"}, "bot"),
    ({"drop_bots": True}, {"author": "some_bot"}, "bot"),
    ({"drop_bots": True}, {"author": "abbot"}, None),
    ({"drop_bots": True}, {"body": "Beep, I am a bot, beep"}, "bot"),
    ({"drop_bots": True}, {"body": "Beep, I\u2019m a bot, beep"}, "bot"),
    ({}, {"author": "AutoModerator"}, None),
]


@pytest.mark.parametrize(("options", "fields", "name"), CASES)
def test_each_filter_drops_its_comments(options, fields, name):
    assert dropped_by(ExtractOptions(**options), **fields) == name


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("short", "short"),
        ("twelve chars", "twelve chars"),
        ("twelve charsX more", "twelve "),
        ("twelve chars, more", "twelve chars"),
        ("unbreakableword", ""),
        ("", ""),
    ],
)
def test_trim_does_not_split_words(text, trimmed):
    assert filters.trim(text, 12) == trimmed


TEXTS = {
    "Tom &amp; Jerry &lt;3": "Tom & Jerry <3",
    "&amp;gt; quoted\nanswer": "answer",
    "&gt; quoted\n&gt; more\n\nanswer": "answer",
    "a [link](http://x.y/z_(1) \"title\") here": "a link here",
    "a [link](http://x.y/z \"title\") here": "a link here",
    "see https://x.y/z?a=1 now": "see now",
    "**bold** and *italic* and ~~gone~~ and `code`": "bold and italic and gone and code",
    "snake_case_name stays, _this_ goes": "snake_case_name stays, this goes",
    "# Heading\n\n* one\n* two\n1. three": "Heading one two three",
    "2 * 3 * 4": "2 * 3 * 4",
    "^^tiny ^(words)": "tiny words",
    "escaped \\*stars\\*": "escaped *stars*",
    "tabs\tand\n\nlines  ": "tabs and lines",
    "&#0;&#xd800;x": "\ufffd\ufffdx",
    "plain": "plain",
}  # fmt: skip


@pytest.mark.parametrize("raw", TEXTS)
def test_clean_text_removes_markdown_and_entities(raw):
    assert pl.select(markdown.clean(pl.lit(raw))).item() == TEXTS[raw]


def run(tmp_path, preprocess, lines, *arguments):
    (tmp_path / "RC").write_bytes(ndjson(lines))
    folder = preprocess(tmp_path / "RC", arguments=arguments)
    manifest = load_manifest(str(folder))
    assert sum(manifest.counters.values()) == len(lines)
    pairs = [
        (e["context"], e["response"], e["response_id"])
        for split in ("train", "test")
        for e in reading.read_examples(str(folder), split)
    ]
    return pairs, manifest.counters


def test_every_filter_has_its_counter(tmp_path, preprocess):
    dropped = {
        "deleted": {"body": "[deleted]"},
        "removed": {"body": "[removed]"},
        "removed_by_reddit": {"body": "[ Removed by Reddit ]"},
        "subreddit_blocked": {"subreddit": "ads"},
        "over_18": {"over_18": True},
        "low_score": {"score": -5},
        "bot": {"author": "helper_bot"},
        "too_short": {"body": "short"},
        "too_long": {"body": "long " * 40},
    }
    fields = {"subreddit": "news", "score": 1, "author": "somebody"}
    made = [comment(n, "c0", **fields | new) for n, new in enumerate(dropped.values(), 1)]
    lines = [comment(0, **fields), *made, comment(20, "c0", **fields)]
    options = ["--drop-removed-by-reddit", "--block-subreddits", "r/Ads", "--drop-over-18"]
    options += ["--min-score", "0", "--drop-bots"]
    pairs, counters = run(tmp_path, preprocess, lines, *options)
    assert [response for _, _, response in pairs] == ["c20"]
    expected = dict.fromkeys((f"filtered/{name}" for name in dropped), 1)
    assert {n: c for n, c in counters.items() if n.startswith("filtered/")} == expected
    listed, counters = run(tmp_path, preprocess, lines, "--subreddits", "ads", "--overwrite")
    assert (listed, counters["filtered/subreddit_not_listed"]) == ([], 8)


def test_of_two_copies_of_a_comment_the_option_says_which_one_counts(tmp_path, preprocess):
    later = {"_meta": {"was_deleted_later": True}}
    copies = [{}, {"body": "[deleted]"}, {"body": "[removed]"}, {"body": "short"}, later]
    made = [comment(0), *(comment(n, "c0") for n in range(1, 5))]
    other = [comment(n, "c0") | changes for n, changes in enumerate(copies[1:], 1)]
    pairs, counters = run(tmp_path, preprocess, made + other, "--drop-deleted-later")
    assert sorted(id_ for _, _, id_ in pairs) == ["c1", "c2", "c3", "c4"]
    assert counters["duplicate_id"] == 4
    arguments = ["--copies", "deleted", "--drop-deleted-later", "--overwrite", "--num-shards", "1"]
    pairs, counters = run(tmp_path, preprocess, made + other, *arguments)
    assert [id_ for _, _, id_ in pairs] == ["c3"]  # a copy that is too short is not gone
    gone = {f"filtered/{name}": 1 for name in ("deleted", "removed", "deleted_later")}
    made_of = {name: n for name, n in counters.items() if n and not name.startswith("pair/")}
    assert made_of == {**gone, "duplicate_id": 4, "no_pair/top_level": 1}
    assert load_manifest(str(tmp_path / "corpus")).options["copies"] == "deleted"
    assert "copies" not in ExtractOptions(copies="passing").to_dict()


def test_the_clean_preset_cleans_before_it_measures_lengths(tmp_path, preprocess):
    lines = [comment(0, body="**short**"), comment(1, "c0"), comment(2, "c1", body="*fine text*")]
    pairs, counters = run(tmp_path, preprocess, lines, "--preset", "clean")
    assert [(a, b) for a, b, _ in pairs] == [("this is the comment number 1", "fine text")]
    assert counters["filtered/too_short"] == 1


def test_equal_pairs_are_kept_once_in_the_whole_corpus(tmp_path, preprocess):
    lines = []
    for thread in range(50):  # spread over all buckets
        name = f"t{thread}"
        lines += [
            comment(3 * thread, thread=name, body="how are you today"),
            comment(3 * thread + 1, f"c{3 * thread}", thread=name, body="fine, thank you"),
            comment(3 * thread + 2, f"c{3 * thread}", thread=name, body=f"number {thread} says hi"),
        ]
    pairs, counters = run(tmp_path, preprocess, lines, "--drop-duplicates")
    texts = [(a, b) for a, b, _ in pairs]
    assert len(texts) == len(set(texts)) == 51
    assert counters["duplicate_pair"] == 49
    again, _ = run(tmp_path, preprocess, lines[::-1], "--drop-duplicates", "--overwrite")
    assert sorted(pairs) == sorted(again)


def test_a_sample_has_whole_threads_and_a_larger_one_contains_a_smaller_one(tmp_path, preprocess):
    lines = dialogue(200)
    few, counters = run(tmp_path, preprocess, lines, "--sample", "0.2")
    more, _ = run(tmp_path, preprocess, lines, "--sample", "0.5", "--overwrite")
    assert set(few) < set(more)
    assert counters["sampled_out"] % 5 == 0
    assert 0.1 < len(few) / 800 < 0.3


def test_limit_reads_the_first_lines_of_each_file(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(100)))
    folder = preprocess(tmp_path / "RC", arguments=["--limit", "7"])
    manifest = load_manifest(str(folder))
    assert manifest.inputs[0]["lines"] == 7
    assert manifest.counters["pair/train"] + manifest.counters["pair/test"] == 5


def test_subreddit_lists_can_be_files(tmp_path, preprocess):
    (tmp_path / "names").write_text("r/news\npics\n")
    _, counters = run(tmp_path, preprocess, dialogue(30), "--subreddits", f"@{tmp_path}/names")
    assert counters["filtered/subreddit_not_listed"] == 50


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path, preprocess, capsys):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(30)))
    preprocess(tmp_path / "RC", arguments=["--dry-run", "--preset", "clean"])
    markdown = capsys.readouterr().out
    for expected in ("drop_duplicates         true", "buckets", "estimated time", str(tmp_path)):
        assert expected in markdown
    assert [p.name for p in tmp_path.iterdir()] == ["RC"]
