import re
from pathlib import Path

import pytest

from rejoinder.commands import dispatch
from rejoinder.quickstart.summary import next_commands, ranking_rows


def method(accuracy, interval):
    return {"name": "TF-IDF", "accuracy": accuracy, "accuracy_interval": interval, "mrr": 0.25}


def test_accuracy_is_shown_in_percent_with_its_interval():
    rows = ranking_rows({"ranking": [method(0.264, [0.25, 0.2755])]})
    assert rows == [("1-of-100 TF-IDF", "26.4%  (95 % interval 25.0% to 27.6%)")]


def test_a_split_with_fewer_than_100_pairs_shows_mrr_and_the_reason():
    rows = ranking_rows({"ranking": [method(None, None)]})
    assert rows == [("MRR TF-IDF", "0.250  (too few pairs for 1-of-100)")]


def test_the_suggested_commands_and_their_flags_exist(capsys):
    suggested = re.findall(r"^  rejoinder (\w+)(.*)$", next_commands(Path("out")), re.M)
    assert [name for name, _ in suggested] == ["serve", "search", "quickstart"]
    for name, arguments in suggested:
        with pytest.raises(SystemExit):
            dispatch([name, "--help"])
        usage = capsys.readouterr().out
        assert all(flag in usage for flag in re.findall(r"--[\w-]+", arguments))
