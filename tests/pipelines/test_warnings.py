"""The report and the summary show what was dropped, and what is probably not as meant."""

import json

import pytest

from rejoinder.pipelines.testing import COMPRESS, comment, dialogue, ndjson, zst_blocks_file

LINES = [
    *dialogue(10),
    *(comment(1000 + n, body=f"<{n}>") for n in range(30)),
    *(comment(2000 + n, body="[deleted]") for n in range(3)),
]
BAD = [f"{{broken {n}".encode() for n in range(25)]
ALLOW = ["--max-bad-ratio", "1"]


def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text())


def write(path, lines) -> str:
    path.write_bytes(ndjson(lines))
    return str(path)


def test_the_report_shows_twenty_texts_for_each_reason(tmp_path, preprocess):
    dump = write(tmp_path / "RC", [*LINES, *BAD])
    folder = preprocess(dump, arguments=ALLOW)
    samples = report(folder)["samples"]
    assert {name: len(found) for name, found in samples.items()} == {
        "filtered/deleted": 3,
        "filtered/too_short": 20,
        "rejected/broken_json": 20,
    }
    by_id = {line["id"]: line["body"] for line in LINES}
    assert all(by_id[s["origin"]] == s["text"] for s in samples["filtered/too_short"])
    places = {f"{dump} line {len(LINES) + n + 1}": line.decode() for n, line in enumerate(BAD)}
    assert all(places[s["origin"]] == s["text"] for s in samples["rejected/broken_json"])

    # In two files and another order: the samples of comments are the same.
    half = len(LINES) // 2
    parts = [write(tmp_path / "RC_2", LINES[half:]), write(tmp_path / "RC_1", LINES[:half])]
    again = report(preprocess(*parts, output="again"))["samples"]
    assert again == {name: found for name, found in samples.items() if "filtered" in name}


def test_no_samples_leaves_out_every_text(tmp_path, preprocess):
    dump = write(tmp_path / "RC", [*LINES, *BAD])
    folder = preprocess(dump, arguments=[*ALLOW, "--no-samples"])
    assert report(folder)["samples"] == {}
    assert "broken 1" not in (folder / "report.json").read_text()


def test_the_summary_warns_of_names_and_files_that_matched_nothing(
    tmp_path, tokenizer_folder, capsys
):
    from rejoinder.pipelines import preprocess as command

    lines = [comment(n, created_utc="a while ago", subreddit="News") for n in range(2)]
    lines[1]["parent_id"] = "t1_c0"
    dump, empty = write(tmp_path / "RC_1", [*lines, *dialogue(10)]), write(tmp_path / "RC_2", [])
    folder = tmp_path / "corpus"
    arguments = ["--input", dump, empty, "--output", str(folder), "--tokenizer", tokenizer_folder]
    command.main([*arguments, "--subreddits", "r/news,gone,lost", "--block-subreddits", "away"])
    expected = [
        "--subreddits: no comment of the input is in gone, lost",
        "--block-subreddits: no comment of the input is in away",
        f"no lines in {empty}",
    ]
    found = report(folder)["warnings"]
    assert found[:3] == expected
    assert found[3].startswith("1 pairs have no month, because created_utc is missing or is not")
    printed = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("warning: ") for line in printed if "warning: " in line] == found


def test_a_corpus_without_warnings_has_none(tmp_path, preprocess):
    dump = write(tmp_path / "RC", dialogue(10))
    assert (
        report(preprocess(dump, arguments=["--subreddits", "NEWS,r/Pics,science"]))["warnings"]
        == []
    )


def test_times_in_iso_8601_and_milliseconds_have_a_month(tmp_path, preprocess):
    lines = dialogue(10)
    for number, line in enumerate(lines):
        line["created_utc"] = ("2015-01-01T10:00:00Z", 1_420_106_400_000)[number % 2]
    assert report(preprocess(write(tmp_path / "RC", lines)))["months"] == {"2015-01": 40}


@pytest.mark.parametrize("form", ["zst_blocks", "array", "page"])
def test_every_form_of_a_dump_gives_the_same_shards(tmp_path, preprocess, form):
    lines = dialogue(40)
    plain = preprocess(write(tmp_path / "RC_1", lines))
    stored = {
        "zst_blocks": zst_blocks_file(lines),
        "array": COMPRESS[".zst"](json.dumps(lines, indent=1).encode()),
        "page": json.dumps({"data": lines}).encode(),
    }[form]
    dump = tmp_path / f"RC_2{'.zst' if form == 'array' else '.zst_blocks'}"
    dump.write_bytes(stored)
    other = preprocess(dump, output=form)
    names = sorted(path.name for path in plain.glob("*.tfrecord-*"))
    assert names
    for name in names:
        assert (plain / name).read_bytes() == (other / name).read_bytes()
