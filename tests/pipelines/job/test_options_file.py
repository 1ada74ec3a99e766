"""`--options FILE`: options from YAML, or from the manifest of an earlier run."""

import json

import pytest

from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import preprocess as command
from rejoinder.pipelines.job import options_file
from rejoinder.pipelines.testing import dialogue, ndjson


def parse(tmp_path, text: str, *arguments: str):
    path = tmp_path / "options.yaml"
    path.write_text(text)
    argv = ["--options", str(path), *arguments]
    return options_file.parse(command.build_parser(), argv)


def test_every_kind_of_option_has_the_value_of_the_file(tmp_path):
    parsed, rest = parse(
        tmp_path,
        "input: [a.zst, b.zst]\noutput: out\nmin-chars: 3\nmin_score: -5\nkeep-text: true\n"
        "drop-bots: false\nsubreddits: news\nsample: 0.5\nafter: 2006-01-15\n",
    )
    assert (parsed.input, parsed.output, parsed.min_chars) == (["a.zst", "b.zst"], "out", 3)
    assert (parsed.min_score, parsed.keep_text, parsed.drop_bots) == (-5, True, False)
    assert (parsed.subreddits, parsed.sample, parsed.after) == (["news"], 0.5, "2006-01-15")
    assert rest == []


def test_the_command_line_replaces_the_file(tmp_path):
    text = "input: [a.zst]\noutput: out\nmin_chars: 3\nsubreddits: [news]\n"
    arguments = ["--input", "b.zst", "--subreddits=pics", "--min-chars", "4", "--project=p"]
    parsed, rest = parse(tmp_path, text, *arguments)
    assert (parsed.input, parsed.subreddits, parsed.min_chars) == (["b.zst"], ["pics"], 4)
    assert (parsed.output, rest) == ("out", ["--project=p"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "min_char: 3",
            "min_char is not an option of rejoinder preprocess; did you mean min-chars",
        ),
        ("zebra: 3", "zebra is not an option of rejoinder preprocess; see --help"),
        ("options: other.yaml", "options is not an option"),
        ("keep_text: 1", "keep_text must be true or false, got 1"),
        ("min_chars: true", "min_chars must be a text, a number or a list, got True"),
        ("input: {a: b}", "input must be a text, a number or a list"),
        ("- a\n- b", "is not a mapping; write `name: value` lines"),
        ("a: b\n  c: [", "line 2: is not YAML; write `name: value` lines"),
        ("", "is not a mapping"),
    ],
)
def test_a_file_that_is_not_options_is_an_error_that_names_it(tmp_path, text, message):
    with pytest.raises(UserError) as raised:
        parse(tmp_path, text)
    assert str(raised.value).startswith(f"--options {tmp_path / 'options.yaml'}")
    assert message in str(raised.value)


def test_a_file_that_does_not_exist_is_an_error():
    with pytest.raises(UserError, match=r"--options none\.yaml: does not exist"):
        options_file.parse(command.build_parser(), ["--options=none.yaml"])


def test_a_manifest_repeats_its_run(tmp_path, preprocess):
    dump = tmp_path / "RC"
    dump.write_bytes(ndjson(dialogue(40)))
    arguments = ["--max-chars", "34", "--num-shards", "3", "--before", "2015-01-01T00:03"]
    first = preprocess(dump, output="first", arguments=arguments)
    second = tmp_path / "second"
    options = str(first / "manifest.json")
    command.main(["--options", options, "--output", str(second), "--name", "first", "--quiet"])
    assert (first / "COMPLETED").read_text() == (second / "COMPLETED").read_text()
    options_of_second = load_manifest(str(second)).options
    assert options_of_second["before"] == "2015-01-01T00:03"


def test_options_that_are_not_set_are_not_in_the_manifest(tmp_path, preprocess):
    dump = tmp_path / "RC"
    dump.write_bytes(ndjson(dialogue(2)))
    manifest = json.loads((preprocess(dump) / "manifest.json").read_text())
    assert not {"after", "before"} & manifest["options"].keys()
