"""`--after` and `--before` keep the comments of a range of times."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import Chunk
from rejoinder.pipelines.reddit.filters import build_filters
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.parse import parse_chunk
from rejoinder.pipelines.reddit.rows import to_rows
from rejoinder.pipelines.reddit.times import read_time
from rejoinder.pipelines.testing import comment, ndjson

CREATED = {
    "before": "2005-12-31T23:59:59",
    "first": 1_136_073_600,  # 2006-01-01T00:00:00
    "milliseconds": "1136073600000",
    "last": 1_138_751_999.5,
    "after": 1_138_752_000,  # 2006-02-01T00:00:00
    "none": None,
    "broken": "yesterday",
}


def reasons(**options: str) -> dict[str, str]:
    lines = [comment(n, created_utc=created) for n, created in enumerate(CREATED.values())]
    data = ndjson(lines)
    parsed, _, _ = parse_chunk(Chunk(data, 1, len(lines)))
    chosen = ExtractOptions(**options)
    filters = build_filters(chosen)
    rows = to_rows(parsed, filters, chosen).sort("id")
    names = ["", *(f.name for f in filters)]
    return {
        name: names[reason]
        for name, reason in zip(CREATED, rows.get_column("reason"), strict=True)
        if reason
    }


def test_a_month_from_its_first_to_its_last_moment():
    assert reasons(after="2006-01", before="2006-02-01") == {
        "before": "too_early",
        "after": "too_late",
        "none": "too_early",
        "broken": "too_early",
    }


def test_one_limit_alone():
    assert reasons(after="2006-02").keys() == CREATED.keys() - {"after"}
    assert reasons(before="2006").keys() == CREATED.keys() - {"before"}
    assert reasons() == {}


@pytest.mark.parametrize(
    "text", ["2006", "2006-01", "2006-01-01", "2006-01-01T00:00Z", "2005-12-31 23:00-01:00"]
)
def test_forms_of_a_time(text):
    assert read_time("--after", text) == 1_136_073_600


@pytest.mark.parametrize("text", ["yesterday", "2006-13", "1136073600", "2006-1"])
def test_what_is_no_time_is_an_error(text):
    with pytest.raises(UserError, match=f"--after {text}: is not a time; write 2006, 2006-01"):
        ExtractOptions(after=text)


def test_a_range_without_moments_is_an_error():
    with pytest.raises(UserError, match="--after 2007 is not before --before 2006-12"):
        ExtractOptions(after="2007", before="2006-12")
