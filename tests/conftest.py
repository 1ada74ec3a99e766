"""Loaded before every test module: `rejoinder` first, so that triton comes before TensorFlow."""

import rejoinder  # noqa: F401
