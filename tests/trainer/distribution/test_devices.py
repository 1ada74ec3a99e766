"""The names of devices, and TPUs that cannot be reached."""

import re
import socket

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.distribution import tpu
from rejoinder.trainer.distribution.devices import describe
from rejoinder.trainer.distribution.strategy import make_strategy

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("devices", "gpus", "hosts", "expected"),
    [
        ([("CPU", 0)], [], 1, "CPU (8 cores)"),
        ([("CPU", 0), ("CPU", 1)], [], 1, "CPU (2 logical devices, 8 cores)"),
        ([("CPU", 0)], [H100], 1, f"CPU (8 cores); not used: 1 x {H100} (--strategy auto)"),
        ([("GPU", 0), ("GPU", 1)], [H100, H100], 1, f"2 x {H100}"),
        ([("GPU", 0)], [H100], 2, f"1 x {H100} on each of 2 hosts"),
        ([("TPU", core) for core in range(8)], [], 1, "8 TPU cores"),
    ],
)
def test_devices_have_names(devices, gpus, hosts, expected):
    assert describe(devices, gpus, cores=8, hosts=hosts) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("grpc://127.0.0.1:1", "Connection refused"),
        ("grpc://127.0.0.1:port", "invalid literal"),
        ("doesnotexist", "Connection refused"),
    ],
)
def test_a_tpu_that_does_not_exist_is_refused(name, reason, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")
    with pytest.raises(UserError, match=re.escape(f"--tpu {name}: cannot connect to a")) as error:
        make_strategy("one_device", tpu=name)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_server_that_is_no_tpu_or_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(tpu, "_LOOKUP_SECONDS", 0.3)
    monkeypatch.setattr(tpu, "_SERVER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{port}")
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}: is not a gRPC server"):
            make_strategy("one_device", tpu=f"grpc://127.0.0.1:{port}")
        with pytest.raises(UserError, match=r"--tpu quiet: .*Google Cloud did not answer in"):
            make_strategy("one_device", tpu="quiet")
