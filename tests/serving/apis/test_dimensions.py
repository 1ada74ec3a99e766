"""Fewer dimensions: scaled to unit length, with a warning where the model was not trained so."""

from types import SimpleNamespace

import numpy as np
import pytest

from rejoinder.serving.apis.dimensions import check_dimensions, first_dimensions
from rejoinder.serving.errors import ServingError


def version(trained=(4, 8)):
    manifest = SimpleNamespace(dimension=16, trained_dimensions=list(trained))
    return SimpleNamespace(manifest=manifest)


@pytest.mark.parametrize("wanted", [None, 16, 4, 8])
def test_trained_widths_have_no_warning(wanted):
    assert check_dimensions("dimensions", wanted, version()) == []


def test_other_widths_have_one_that_names_the_trained_ones():
    assert check_dimensions("dimensions", 5, version()) == [
        "the model was not trained for 5 dimensions, so embeddings may be much worse; "
        "trained: 4, 8, 16"
    ]
    assert check_dimensions("dimensions", 4, version(()))[0].endswith("trained: 16")


def test_more_than_the_model_has_is_refused():
    with pytest.raises(ServingError, match=r"^size must be a whole number from 1 to 16$"):
        check_dimensions("size", 17, version())


def test_a_prefix_has_unit_length():
    embeddings = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], np.float32)
    np.testing.assert_allclose(first_dimensions(embeddings, 2), [[0.6, 0.8], [0, 0]])
    assert first_dimensions(embeddings, None) is embeddings
