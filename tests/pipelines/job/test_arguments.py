"""Options with impossible values, and arguments that belong to no option, are errors."""

import os

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines import pairs, preprocess
from rejoinder.pipelines.job import arguments
from rejoinder.pipelines.pair_files.extractor import PairOptions
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.retrieval import embed

COMMANDS = {"preprocess": preprocess, "pairs": pairs, "embed": embed}


def run(name: str, *given: str) -> str:
    """Returns the error of a command whose input does not exist."""
    required = ["--input", "missing", "--output", "out", "--workers", "1"]
    required += ["--model", "m"] if name == "embed" else ["--tokenizer", "t"]
    with pytest.raises(UserError) as caught:
        COMMANDS[name].main([*required, *given])
    return str(caught.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_that_belong_to_no_option_are_errors(name):
    for given in (
        ["--workers", "1", "b"],
        ["--job_name", "name", "b"],
        ["--output", "my", "b"],
        ["--", "b"],
    ):
        error = run(name, *given)
        assert error.startswith(("b: belongs to no option", "--: neither an option"))
    assert run(name, "--limit", "1", "b c") == (
        "b c: belongs to no option (see --help); a path with a space must be quoted, and given to "
        "the command itself, because make splits INPUT at spaces"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_inputs_may_be_given_in_several_options(name):
    parsed, _ = (
        COMMANDS[name]
        .build_parser()
        .parse_known_args(["--input", "a", "b", "--input", "c", "--output", "o", "--model", "m"])
    )
    assert parsed.input == ["a", "b", "c"]


def test_subreddits_may_be_given_in_several_options():
    parse = preprocess.build_parser().parse_args
    required = ["--input", "a", "--output", "o"]
    parsed = parse([*required, "--subreddits", "news", "--subreddits", "pics", "r/de"])
    assert parsed.subreddits == ["news", "pics", "r/de"]
    assert parse(required).subreddits == []


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", "nan", "inf", "20"])
@pytest.mark.parametrize("name", ["preprocess", "pairs"])
def test_a_ratio_outside_0_to_1_is_an_error(name, ratio):
    assert run(name, "--max-bad-ratio", ratio).startswith("--max-bad-ratio: must be 0 to 1, got")


@pytest.mark.parametrize("options", [ExtractOptions, PairOptions])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", -1),
        ("max_length", -128),
        ("max_length", 2),
        ("max_length", 1 << 20),
        ("num_shards", -1),
        ("num_shards", 100_000),
    ],
)
def test_numbers_outside_their_range_are_errors(options, name, value):
    with pytest.raises(UserError, match=rf"--{name.replace('_', '-')}: must be \d+ to \d+, got"):
        options(**{name: value})


def test_a_subreddit_that_is_both_listed_and_blocked_is_an_error():
    with pytest.raises(UserError, match="--block-subreddits news: --subreddits names it too"):
        ExtractOptions(subreddits=("news", "pics"), block_subreddits=("news",))


@pytest.mark.parametrize("option", ["output", "tokenizer", "name"])
def test_values_that_are_not_utf8_are_errors_that_show_them(option):
    with pytest.raises(UserError, match=rf"^--{option} caf\\xe9: is not UTF-8; rename it$"):
        arguments.check_names(**{option: os.fsdecode(b"caf\xe9")})
