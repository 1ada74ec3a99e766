"""The device of a model, on machines with and without GPUs."""

import sys

import pytest
import tensorflow as tf

from rejoinder.hardware import Hardware
from rejoinder.models import device
from rejoinder.models.encoder import Encoder

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [([], "CPU (8 cores)"), ([H100], H100), ([H100] * 4, f"{H100}, the first of 4 GPUs")],
)
def test_a_device_has_a_name(gpus, expected):
    assert device.describe(gpus, cores=8) == expected


@pytest.fixture
def machine(monkeypatch):
    """Returns a function that gives this machine GPUs, and the list of the visible ones."""

    def install(number):
        visible = [f"GPU:{n}" for n in range(number)]
        monkeypatch.setattr(device, "find_hardware", lambda: Hardware(nvidia=True))
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(visible))
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", lambda gpu: {"device_name": H100}
        )

        def show(devices, kind):
            visible[:] = devices

        monkeypatch.setattr(tf.config, "set_visible_devices", show)
        return visible

    return install


def test_the_first_gpu_is_used_and_the_others_stay_free(machine):
    visible = machine(4)
    assert device.use_first_gpu() == f"{H100}, the first of 4 GPUs"
    assert visible == ["GPU:0"]
    assert device.device_name() == H100


def test_gpus_that_tensorflow_has_started_are_left_as_they_are(machine, monkeypatch):
    def refuse(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    machine(2)
    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    assert device.use_first_gpu() == f"{H100}, the first of 2 GPUs"


def test_a_card_that_tensorflow_cannot_use_leaves_the_cpu(machine):
    machine(0)
    assert device.use_first_gpu().startswith("CPU (")


def test_tensorflow_is_not_imported_where_no_card_is(monkeypatch):
    monkeypatch.setattr(device, "find_hardware", Hardware)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert device.use_first_gpu().startswith("CPU (")


def test_an_encoder_names_its_device(machine):
    machine(1)
    assert Encoder.device.fget(None) == H100
