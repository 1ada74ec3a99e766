"""Triton is imported before TensorFlow: the other order is a segmentation fault."""

import importlib.util
import subprocess
import sys

import pytest


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **environment
    )


@pytest.fixture
def fake_packages(tmp_path, monkeypatch):
    """A folder of a triton and a TensorFlow that print their names when they are imported."""
    for name in ("triton", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"print({name!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_triton_is_imported_when_tensorflow_is(fake_packages):
    done = run("import rejoinder; print('rejoinder'); import tensorflow, triton")
    assert done.stdout.split() == ["rejoinder", "triton", "tensorflow"], done.stderr


def test_triton_is_not_imported_without_tensorflow(fake_packages):
    done = run("import rejoinder, sys; print('triton' in sys.modules)")
    assert done.stdout.split() == ["False"], done.stderr


def test_tensorflow_is_imported_where_triton_is_not_installed(fake_packages):
    # This environment may hold a real triton, so that `find_spec` has to hide it too.
    (fake_packages / "triton.py").unlink()
    hidden = "import importlib.util as u, rejoinder; find = u.find_spec; "
    hidden += "u.find_spec = lambda name, *a: None if name == 'triton' else find(name, *a); "
    done = run(hidden + "import tensorflow")
    assert done.stdout.split() == ["tensorflow"], done.stderr


def test_tensorflow_that_is_loaded_already_is_left_alone(fake_packages):
    done = run("import tensorflow, rejoinder, sys; print('triton' in sys.modules)")
    assert done.stdout.split() == ["tensorflow", "False"], done.stderr


@pytest.mark.parity
@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="this build of torch brings no triton"
)
def test_an_encoder_and_sentence_transformers_live_in_one_process():
    """With PyPI's own torch, as in a user's notebook: import, XLA and torch all work."""
    done = run(
        "from rejoinder import Encoder; Encoder.load\n"
        "import sentence_transformers, tensorflow as tf, torch\n"
        "double = tf.function(lambda x: 2 * x, jit_compile=True)\n"
        "print(double(tf.ones(2)).numpy().sum(), float(torch.ones(3).sum()))"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["4.0", "3.0"]
