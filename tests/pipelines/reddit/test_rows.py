"""The month of a comment is read from every form of `created_utc`."""

import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.pipelines.reddit.filters import build_filters
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.rows import months, to_rows
from rejoinder.pipelines.shuffle import partition


def months_of(*created: str | None) -> list[int | None]:
    return months(pl.Series(created, dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    "created",
    [
        "1420070400",
        "1420070400.0",
        "1.4200704e9",
        "1420070400000",
        "1420070400123.5",
        "2015-01-01",
        "2015-01-01T00:00:00Z",
        "2015-01-01 00:00:00",
        "2015-01-01 00:00:00 UTC",
        "2015-01-01T00:00:00.123456+00:00",
        "2014-12-31T23:00:00-01:00",
        " 2015-01-31T23:59:59 ",
    ],
)
def test_seconds_milliseconds_and_iso_8601_are_times(created):
    assert months_of(created, "1420070400", None) == [2015 * 12, 2015 * 12, None]


@pytest.mark.parametrize(
    "created", ["", "yesterday", "true", "nan", "-1", "0", "1e300", "20150101", "2015-13-01", "{}"]
)
def test_what_is_no_time_of_reddit_has_no_month(created):
    assert months_of(created, "1420070400") == [None, 2015 * 12]


def test_the_first_and_the_last_month_are_whole():
    created = ["1104537599.9", "1104537600", "4105123199.9", "4105123200"]
    assert months_of(*created) == [None, 2005 * 12, 2100 * 12, None]


def test_no_times_at_all_are_unknown():
    assert months_of(None, None) == [None, None]
    assert months_of() == []


@settings(deadline=None)
@given(
    st.datetimes(datetime.datetime(2005, 1, 1), datetime.datetime(2100, 1, 1)),
    st.integers(-12, 14),
)
def test_all_forms_of_one_time_agree(time, hours):
    utc = time.replace(tzinfo=datetime.UTC)
    elsewhere = utc.astimezone(datetime.timezone(datetime.timedelta(hours=hours)))
    forms = (
        str(int(utc.timestamp())),
        str(int(utc.timestamp() * 1000)),
        utc.isoformat(),
        elsewhere.isoformat(),
        time.isoformat(sep=" "),
    )
    assert months_of(*forms) == [time.year * 12 + time.month - 1] * len(forms)


def test_the_text_of_a_filtered_comment_does_not_cross_the_shuffle():
    long = "a comment that is too long " * 20
    columns = ("id", "thread", "parent", "body", "author", "subreddit", "created_utc")
    comments = [
        ("a", "t", None, "a comment that passes", "kept_author", "kept_sub", "1420070400"),
        ("b", "t", "a", long, "left_out_author", "left_out_sub", "1420070400"),
    ]
    parsed = pl.DataFrame(comments, schema=dict.fromkeys(columns, pl.String), orient="row")
    options = ExtractOptions()
    rows = to_rows(parsed, build_filters(options), options)
    ((_, blob),) = partition.partition_threads(rows, 1)
    assert b"kept_author" in blob
    assert b"kept_sub" in blob
    assert b"passes" in blob
    assert b"too long" not in blob
    assert b"left_out" not in blob
    merged = partition.merge([blob])
    assert merged.get_column("body").to_list() == ["a comment that passes", None]
    assert merged.get_column("author").to_list() == ["kept_author", None]
