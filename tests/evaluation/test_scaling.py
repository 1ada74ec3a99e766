"""`benchmarks.scaling`: accuracy over the number of pairs, from evaluations and training runs."""

import json

import pytest

from benchmarks.methods import Row
from benchmarks.scaling import plot, points, table
from rejoinder.errors import UserError


def method(name, accuracy, folder=None):
    ranking = {"accuracy": accuracy, "accuracy_interval": [accuracy - 0.01, accuracy + 0.01]}
    return Row(name, ranking, f"rejoinder train --model-dir {name}", folder)


@pytest.fixture
def train(tmp_path):
    """Returns a method that a run trained."""

    def trained(name, accuracy, *, layers, width, pairs):
        (tmp_path / name / "encoder").mkdir(parents=True)
        config = {"num_hidden_layers": layers, "hidden_size": width}
        (tmp_path / name / "encoder" / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "training.json").write_text(json.dumps({"pairs": pairs}))
        return method(name, accuracy, str(tmp_path / name))

    return trained


@pytest.fixture
def rows(train):
    return [
        train("a", 0.31, layers=1, width=512, pairs=260_000),
        method("TF-IDF", 0.289),
        train("b", 0.2, layers=1, width=128, pairs=260_000),
        train("c", 0.25, layers=1, width=512, pairs=16_000),
        train("d", 0.32, layers=2, width=512, pairs=260_000),
    ]


def test_each_shape_is_a_row_and_each_number_of_pairs_a_column(rows):
    lines = table(points(rows)).splitlines()
    header, _, *cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header == ["1-of-100, %", "16,000 pairs", "260,000 pairs"]
    assert cells == [
        ["1 layer of 128", "-", "20.0 (19.0 to 21.0)"],
        ["1 layer of 512", "25.0 (24.0 to 26.0)", "31.0 (30.0 to 32.0)"],
        ["2 layers of 512", "-", "32.0 (31.0 to 33.0)"],
    ]


def test_the_figure_names_shapes_counts_and_keyword_methods(rows):
    figure = plot(points(rows), [rows[1]])
    names = ("1 layer of 128", "2 layers of 512", "16,000", "260,000", "TF-IDF", "1-of-100")
    assert [name for name in names if name not in figure] == []
    assert figure == plot(points(rows[::-1]), [rows[1]])


def test_two_models_of_one_shape_and_number_of_pairs_are_refused(train, rows):
    rows.append(train("again", 0.3, layers=2, width=512, pairs=260_000))
    with pytest.raises(UserError, match=r"again: a second model has 2 layers of 512, 260000 pairs"):
        points(rows)


def test_evaluations_without_a_trained_model_are_refused():
    with pytest.raises(UserError, match="no model of these evaluations was trained"):
        points([method("TF-IDF", 0.289)])
