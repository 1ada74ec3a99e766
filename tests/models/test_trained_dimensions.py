"""The widths for which a run trained its embeddings, which an export's manifest names."""

import pytest

from rejoinder.errors import UserError
from rejoinder.models.model_dir import PARAMETERS, trained_dimensions


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("task: {loss: {matryoshka_dims: [256, 128]}}", [256, 128]),
        ("task: {loss: {matryoshka_dims: []}}", []),
        ("task: {loss: {}}", []),
        ("task: {}", []),
    ],
)
def test_the_widths_of_the_configuration(tmp_path, text, widths):
    (tmp_path / PARAMETERS).write_text(text)
    assert trained_dimensions(str(tmp_path)) == widths


def test_a_run_without_a_configuration_names_none(tmp_path):
    assert trained_dimensions(str(tmp_path)) == []


@pytest.mark.parametrize("text", ["[", "3", "task: 4", "task: {loss: {matryoshka_dims: [x]}}"])
def test_a_broken_configuration_is_an_error_with_its_path(tmp_path, text):
    (tmp_path / PARAMETERS).write_text(text)
    with pytest.raises(UserError, match=r"params.yaml: is not the configuration of a training run"):
        trained_dimensions(str(tmp_path))
