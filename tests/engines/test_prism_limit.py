"""More rows than Prism can send are refused before the job starts."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines import preprocess
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.job import plan, runners
from rejoinder.pipelines.job.arguments import JobArguments
from rejoinder.pipelines.job.engines import prism
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.testing import dialogue, ndjson
from rejoinder.storage import FileEntry


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Returns a function that checks a dump as if it were of a given size."""
    path = tmp_path / "RC_1"
    path.write_bytes(ndjson(dialogue(200)))

    def run(size: int, runner: str = "PrismRunner", limit: int = 0) -> None:
        parsed, _ = preprocess.build_parser().parse_known_args(["--input", "x", "--output", "y"])
        options, files = ExtractOptions(limit=limit), [FileEntry(str(path), size)]
        choice = runners.choose(runner, 1, [])
        made = plan.plan_job(
            JobArguments.of(parsed), files, choice, RedditComments(options), options, []
        )
        assert input_files.text_bytes(files) == size
        prism.check_size(choice, files, made.spec)

    return run


def test_the_estimate_and_the_advice_are_in_the_error(check):
    with pytest.raises(UserError) as caught:
        check(200 << 30)
    found = str(caught.value)
    assert found.startswith("--runner PrismRunner: about ")
    assert "GB of rows" in found
    assert "million lines) would go through the shuffle, and Prism takes at most 2.1 GB" in found
    assert "leave --runner out" in found


def test_a_dump_below_the_limit_is_accepted(check):
    check(2 << 30)


def test_a_small_dump_is_not_sampled(check, monkeypatch):
    monkeypatch.delattr(prism, "sample")
    check(1 << 29)


def test_a_limit_of_lines_counts(check):
    check(200 << 30, limit=1_000)


def test_other_runners_have_no_limit(check):
    check(200 << 30, runner="")
    check(200 << 30, runner="FlinkRunner")
