"""The samples of dropped texts do not depend on the division of the input, and are bounded."""

import json
import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.pipelines.dumps.notes import KEPT, MAX_CHARS, ReadNotes, Sample, sample_of_line
from rejoinder.pipelines.reddit.filters import build_filters
from rejoinder.pipelines.reddit.notes import find_listed, sample_filtered
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.rows import to_rows
from rejoinder.pipelines.testing import comment

OPTIONS = ExtractOptions()
FILTERS = build_filters(OPTIONS)


def frame(comments: list[dict]) -> pl.DataFrame:
    columns = ("id", "body", "author", "subreddit")
    return pl.DataFrame(
        {name: [c[name] for c in comments] for name in columns}
        | {name: ["1"] * len(comments) for name in ("thread", "parent", "created_utc")},
        schema_overrides=dict.fromkeys(columns, pl.String),
    )


def note(notes: ReadNotes, comments: list[dict]) -> None:
    parsed = frame(comments)
    reasons = to_rows(parsed, FILTERS, OPTIONS).get_column("reason")
    sample_filtered(parsed, reasons, FILTERS, notes)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 10**6))
def test_the_division_and_the_order_do_not_change_the_samples(count, size, seed):
    bodies = ("short", "long " * 99, "[deleted]", "this comment passes every filter")
    comments = [comment(n % 250, body=bodies[n % 4] + "!" * (n % 4 == 0)) for n in range(count)]
    whole = ReadNotes()
    note(whole, comments)
    random.Random(seed).shuffle(comments)
    parts = ReadNotes()
    for start in range(0, count, size):
        part = ReadNotes()
        note(part, comments[start : start + size])
        parts.add(ReadNotes.from_dict(json.loads(json.dumps(part.to_dict()))))
    assert parts == whole
    for counter, samples in whole.samples.items():
        kinds = {"filtered/too_short": 0, "filtered/too_long": 1, "filtered/deleted": 2}
        expected = {c["id"] for c in comments if c["body"].startswith(bodies[kinds[counter]])}
        assert {sample.origin for sample in samples} <= expected
        assert len(samples) == min(KEPT, len(expected))


def test_comments_that_a_dump_repeats_do_not_replace_other_samples():
    comments = [comment(n % KEPT, body="x" * 200) for n in range(50 * KEPT)]
    notes = ReadNotes()
    note(notes, comments)
    assert len(notes.samples["filtered/too_long"]) == KEPT


def test_texts_are_cut_and_equal_rows_are_one_sample():
    notes = ReadNotes()
    note(notes, [comment(1, body="x" * 5_000)] * 100)
    ((sample,),) = notes.samples.values()
    assert (sample.origin, sample.text) == ("c1", "x" * MAX_CHARS)


def test_many_rows_with_one_id_are_bounded():
    notes = ReadNotes()
    note(notes, [comment(1, body=f"{n}") for n in range(1_000)])
    assert [len(samples) for samples in notes.samples.values()] == [KEPT]


def test_listed_subreddits_are_found_in_every_case():
    parsed = frame([comment(1, subreddit="News"), comment(2, subreddit="PICS"), comment(3)])
    assert find_listed(parsed, ["news", "pics", "missing"]) == {"news", "pics"}


def test_a_rejected_line_is_a_sample_with_its_place():
    sample = sample_of_line("RC_1", 1_234, "{broken \udcff")
    assert isinstance(sample, Sample)
    assert (sample.origin, sample.text) == ("RC_1 line 1,234", "{broken \udcff")
    assert sample.order != sample_of_line("RC_1", 1_235, "{broken \udcff").order
