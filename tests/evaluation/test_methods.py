"""`benchmarks.methods`: the table of all methods, from evaluations and training runs."""

import json

import pytest

from benchmarks.methods import read_rows, render
from rejoinder.errors import UserError

DATA = {
    "folder": "standard",
    "splits": ["test"],
    "pairs": 7500,
    "batches": 75,
    "batches_asked": 500,
    "candidates": 100,
    "distinct_responses": 7000,
    "deduplicate": False,
    "seed": 0,
    "fitted_on": None,
}


def entry(name, accuracy, gain=None, *, is_model=True):
    return {
        "name": name,
        "is_model": is_model,
        "accuracy": accuracy,
        "accuracy_interval": accuracy and [accuracy - 0.01, accuracy + 0.01],
        "gain": gain,
        "gain_interval": None if gain is None else [gain - 0.005, gain + 0.005],
        "recall": {"1": 0.1, "10": 0.25, "50": 0.5},
        "mrr": 0.2,
    }


def write_report(folder, models, ranking, similarity=(), **data):
    folder.mkdir()
    report = {
        "models": models,
        "data": DATA | data,
        "ranking": ranking,
        "similarity": [
            {"model": model, "name": "stsb", "spearman": value} for model, value in similarity
        ],
        "command": f"rejoinder evaluate --output {folder.name}",
    }
    (folder / "evaluation.json").write_text(json.dumps(report))
    return str(folder)


@pytest.fixture
def reports(tmp_path):
    """Two evaluations against the model `base`; `better` and `worse` are training runs."""
    for name, seconds in (("better", 600.0), ("worse", 90.0)):
        (tmp_path / name / "best").mkdir(parents=True)
        training = {
            "command": f"rejoinder train --model-dir {tmp_path}/{name}",
            "pairs_trained": 65536,
            "training_seconds": seconds,
        }
        (tmp_path / name / "training.json").write_text(json.dumps(training))
    base = entry("base", 0.3)
    one = write_report(
        tmp_path / "one",
        {"base": "hub/base", "worse": f"{tmp_path}/worse/best"},
        [base, entry("worse", 0.25, -0.05), entry("TF-IDF", 0.28, -0.02, is_model=False)],
    )
    two = write_report(
        tmp_path / "two",
        {"base": "hub/base", "better": f"{tmp_path}/better"},
        [base, entry("better", 0.35, 0.05)],
        similarity=[("base", 0.8342), ("better", 0.83451)],
    )
    return one, two


def test_every_method_has_one_row_the_best_first_with_its_command(tmp_path, reports):
    lines = render(read_rows(reports), [f"{tmp_path}/"]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:6]]
    header, rows = cells[0], cells[2:]
    assert header == [
        *("", "method", "pairs", "minutes", "1-of-100, %", "minus base"),
        *("R@10, %", "MRR", "stsb"),
    ]
    assert rows[0] == [
        *("1", "better", "65,536", "10", "35.0 (34.0 to 36.0)", "+5.0 (+4.5 to +5.5)"),
        *("25.0", "0.2000", "0.8345"),
    ]
    assert [row[1] for row in rows] == ["better", "base", "TF-IDF", "worse"]
    assert rows[1][2:6] == ["-", "-", "30.0 (29.0 to 31.0)", ""]
    assert rows[1][-1] == "0.8342"  # from the second report, because the first has none
    assert rows[3][2:6] == ["65,536", "2", "25.0 (24.0 to 26.0)", "-5.0 (-5.5 to -4.5)"]
    assert lines[6:] == [
        "",
        "- 1: `rejoinder train --model-dir better`",
        "- 2: `rejoinder evaluate --output two`",
        "- 3: `rejoinder evaluate --output one`",
        "- 4: `rejoinder train --model-dir worse`",
    ]


def test_a_model_with_earlier_turns_or_a_map_has_the_pairs_and_the_command_of_the_model(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    training = {"command": "rejoinder train", "pairs_trained": 256, "training_seconds": 60.0}
    (run / "training.json").write_text(json.dumps(training))
    names = ["better", "better with 4 earlier turns", "better, mapped", "better than all"]
    ranking = [entry("base", 0.3), *(entry(name, 0.35, 0.05) for name in names)]
    report = write_report(tmp_path / "one", {"base": "hub/base", "better": str(run)}, ranking)
    rows = {row.name: row for row in read_rows([report])}
    for name in names[:3]:
        assert (rows[name].pairs, rows[name].seconds) == (256, 60.0)
    assert rows["better than all"].pairs is None
    assert [row.name for row in rows.values() if row.folder] == ["better"]
    lines = render(list(rows.values())).splitlines()
    assert "- 1, 3, 4: `rejoinder train`" in lines
    assert "- 2, 5: `rejoinder evaluate --output one`" in lines


def test_the_order_of_the_reports_does_not_change_the_rows(reports):
    def table(paths):
        return render(read_rows(paths)).split("\n\n")[0]

    assert table(reports) == table(reports[::-1])


def test_a_report_is_found_in_its_folder_and_in_that_of_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    folder = write_report(tmp_path / "run" / "evaluation", {}, [entry("base", 0.3)])
    for path in (folder, f"{folder}/evaluation.json", str(tmp_path / "run")):
        assert [row.name for row in read_rows([path])] == ["base"]


def test_a_method_without_a_complete_batch_comes_last(tmp_path):
    report = write_report(tmp_path / "one", {}, [entry("base", None), entry("b", 0.1, 0.1)])
    rows = render(read_rows([report])).splitlines()[2:4]
    assert [row.split("|")[2].strip() for row in rows] == ["b", "base"]


def test_reports_on_other_pairs_or_with_another_first_model_are_refused(tmp_path, reports):
    ranking = [entry("base", 0.3)]
    other = write_report(tmp_path / "other", {}, ranking, pairs=7400)
    with pytest.raises(UserError, match=r"other/.*: pairs is 7400, in .*one/.* it is 7500"):
        read_rows([reports[0], other])
    first = write_report(tmp_path / "first", {}, [entry("new", 0.3), *ranking])
    with pytest.raises(UserError, match=r"first/.*: compares with new, .* with base"):
        read_rows([reports[0], first])
    changed = [*ranking, entry("worse", 0.26, -0.04)]
    again = write_report(tmp_path / "again", {}, changed)
    with pytest.raises(UserError, match=r"again/.*: worse has another accuracy"):
        read_rows([reports[0], again])


@pytest.mark.parametrize("content", [None, "no json", "{}", '{"data": null, "ranking": []}'])
def test_what_is_not_a_report_of_response_selection_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(UserError, match=r"evaluation\.json: .*rejoinder evaluate"):
        read_rows([str(tmp_path)])
