"""Replicas, packed or padded rows, and chunks do not change the gradient of a step."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "programs" / "equal_gradients.py"
REFERENCE = "1/True/1"
OTHERS = ("1/False/1", "1/True/4", "1/False/2", "2/True/1", "2/False/2", "8/True/1")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradients") / "results.npz"
    subprocess.run([sys.executable, str(PROGRAM), str(path)], check=True)
    arrangements: dict[str, dict[str, np.ndarray]] = {}
    for key, value in np.load(path).items():
        replicas, packed, chunks, name = key.split("/", 3)
        arrangements.setdefault(f"{replicas}/{packed}/{chunks}", {})[name] = value
    return arrangements


@pytest.mark.parametrize("arrangement", OTHERS)
def test_same_loss_and_gradients(results, arrangement):
    expected, got = results[REFERENCE], results[arrangement]
    assert set(got) == set(expected)
    np.testing.assert_allclose(got["loss"], expected["loss"], rtol=1e-6)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=2e-6, err_msg=name)


def test_gradients_are_not_trivial(results):
    for name, value in results[REFERENCE].items():
        assert np.abs(value).max() > 1e-4, name
