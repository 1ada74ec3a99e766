"""What each worker process may use."""

import os
import sys

import pytest

from rejoinder.pipelines.job import thread_limit
from rejoinder.pipelines.job.thread_limit import limit_threads  # before a fixture replaces it


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, ("-1", None)), ({"hide_gpus": False}, ("0,1", "true"))],
)
def test_workers_use_no_gpu_or_share_those_of_the_user(monkeypatch, options, expected):
    monkeypatch.setattr(thread_limit, "_ONE_THREAD", {})
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH")
    limit_threads(**options)
    names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
    assert tuple(map(os.environ.get, names)) == expected
