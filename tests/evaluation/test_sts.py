import gzip

import numpy as np
import pytest

from rejoinder.errors import UserError
from rejoinder.evaluation.sts import ScoredPairs, evaluate_similarity, read_scored_pairs

CSV = 'A girl is "here".,"Yes, a girl.",2.5\nTwo,three,0\n'


def _read(path, text):
    path.write_text(text)
    return read_scored_pairs(str(path))


def test_csv_without_header(tmp_path):
    data = _read(tmp_path / "stsb-en-test.csv", CSV)
    assert data == ScoredPairs(
        "stsb-en-test", ['A girl is "here".', "Two"], ["Yes, a girl.", "three"], [2.5, 0.0]
    )


def test_gzip_and_windows_line_ends(tmp_path):
    path = tmp_path / "sts.csv.gz"
    path.write_bytes(gzip.compress(CSV.replace("\n", "\r\n").encode()))
    data = read_scored_pairs(str(path))
    assert (data.name, data.scores) == ("sts", [2.5, 0.0])


def test_sts_benchmarks_own_tsv(tmp_path):
    row = 'main-captions\tMSRvid\t2012test\t0024\t2.500\tA "girl is.\tA girl.\n'
    data = _read(tmp_path / "sts-test.csv", row)
    assert (data.first, data.second, data.scores) == (['A "girl is.'], ["A girl."], [2.5])


def test_sick(tmp_path):
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    data = _read(tmp_path / "SICK_trial.txt", header + "4\tboys play\tno boy\t3.6\tNEUTRAL\n")
    assert (data.first, data.second, data.scores) == (["boys play"], ["no boy"], [3.6])


def test_semeval_leaves_out_pairs_without_a_score(tmp_path):
    (tmp_path / "STS.gs.answers.txt").write_text("4\n\n0.5\n")
    data = _read(tmp_path / "STS.input.answers.txt", "a\tb\nc\td\ne\tf\n")
    assert data == ScoredPairs("answers", ["a", "e"], ["b", "f"], [4.0, 0.5])


def test_json_lines(tmp_path):
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
        ("STS.input.x.txt", "a\tb\n", r"STS\.gs\.x\.txt: cannot be read"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        _read(tmp_path / name, text)


def test_correlation_of_cosine_with_scores():
    vectors = {"x": [1.0, 0.0], "near": [1.0, 0.1], "far": [0.2, 1.0], "no": [-1.0, 0.0]}
    data = ScoredPairs("demo", ["x"] * 3, ["near", "far", "no"], [5.0, 1.0, 0.0])
    result = evaluate_similarity(data, lambda texts: np.array([vectors[t] for t in texts]))
    assert result.pairs == 3
    assert result.spearman == pytest.approx(1.0)
    assert 0.9 < result.pearson < 1
