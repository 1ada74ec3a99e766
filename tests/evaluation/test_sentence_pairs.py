"""Files of scored sentence pairs are read in all layouts of the usual data sets."""

import gzip

import pytest

from rejoinder.errors import UserError
from rejoinder.evaluation.sentence_pairs import ScoredPairs, read_scored_pairs

CSV = 'A girl is "here".,"Yes, a girl.",2.5\nTwo,three,0\n'


def _read(path, text):
    path.write_text(text)
    return read_scored_pairs(str(path))


def test_a_csv_without_a_header_is_read(tmp_path):
    data = _read(tmp_path / "stsb-en-test.csv", CSV)
    assert data == ScoredPairs(
        "stsb-en-test", ['A girl is "here".', "Two"], ["Yes, a girl.", "three"], [2.5, 0.0]
    )


def test_gzip_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "sts.csv.gz"
    path.write_bytes(gzip.compress(CSV.replace("\n", "\r\n").encode()))
    data = read_scored_pairs(str(path))
    assert (data.name, data.scores) == ("sts", [2.5, 0.0])


def test_the_tsv_of_the_sts_benchmark_is_read(tmp_path):
    row = 'main-captions\tMSRvid\t2012test\t0024\t2.500\tA "girl is.\tA girl.\n'
    data = _read(tmp_path / "sts-test.csv", row)
    assert (data.first, data.second, data.scores) == (['A "girl is.'], ["A girl."], [2.5])


def test_sick_is_read_by_its_header(tmp_path):
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    data = _read(tmp_path / "SICK_trial.txt", header + "4\tboys play\tno boy\t3.6\tNEUTRAL\n")
    assert (data.first, data.second, data.scores) == (["boys play"], ["no boy"], [3.6])


def test_semeval_pairs_without_a_score_are_left_out(tmp_path):
    (tmp_path / "STS.gs.answers.txt").write_text("4\n\n0.5\n")
    data = _read(tmp_path / "STS.input.answers.txt", "a\tb\nc\td\ne\tf\n")
    assert data == ScoredPairs("answers", ["a", "e"], ["b", "f"], [4.0, 0.5])


def test_json_lines_are_read(tmp_path):
    row = '{"sentence1": "a", "sentence2": "b", "score": 3}\n'
    assert _read(tmp_path / "x.jsonl", row) == ScoredPairs("x", ["a"], ["b"], [3.0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,b,1\nc,d,high\n", r"a\.csv:2: the score must be a number, got 'high'"),
        ("a.csv", "a,b,1\nc,d\n", r"a\.csv:2: has 2 columns, needs 3"),
        ("a.csv", "a,b\n", "unknown layout"),
        ("a.csv", "", "unknown layout"),
        ("a.jsonl", '{"sentence1": "a"}\n', r"a\.jsonl:1: must be an object"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: must be an object"),
        ("STS.input.x.txt", "a\tb\n", r"STS\.gs\.x\.txt: cannot be opened"),
        ("a.csv.gz", "not gzip", r"a\.csv\.gz: cannot be read"),
    ],
)
def test_an_error_names_the_file_and_the_line(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        _read(tmp_path / name, text)
