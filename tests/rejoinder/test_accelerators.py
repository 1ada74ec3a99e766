"""What doctor says about TPUs and NVIDIA cards, on machines that are made of files."""

import re
from pathlib import Path

import pytest

from rejoinder import accelerators
from rejoinder.accelerators import build_findings, gpu_finding, library_path_findings, tpu_findings
from rejoinder.doctor import IN_CHECKOUT, INSTALLED
from rejoinder.hardware import Hardware, find_hardware

ROOT = Path(__file__).resolve().parents[2]
CPU = {"tensorflow": "2.20.0"}.get
TPU = {"tensorflow-tpu": "2.20.0", "libtpu": "0.0.20"}.get
GPU = {"tensorflow": "2.20.0", "nvidia-cudnn-cu12": "9.28.0.42"}.get
V5E = Hardware(("v5e",) * 8, tuple(f"/dev/vfio/{n}" for n in range(8)))
CARD = Hardware(nvidia=True, nvidia_driver=True)


def machine(root, cards=(), nodes=()):
    """A folder with the PCI cards (vendor, device, class) and the device nodes of a machine."""
    for number, card in enumerate(cards):
        folder = root / "sys/bus/pci/devices" / f"0000:00:{number:02x}.0"
        folder.mkdir(parents=True)
        for name, value in zip(("vendor", "device", "class"), card, strict=True):
            (folder / name).write_text(f"{value}\n")
    for node in nodes:
        (root / "dev" / node).parent.mkdir(parents=True, exist_ok=True)
        (root / "dev" / node).touch()
    return root


def test_a_tpu_vm_of_the_newer_kinds_has_chips_behind_vfio(tmp_path):
    chips = [("0x1ae0", "0x0063", "0x120000")] * 12
    nodes = [f"vfio/{n}" for n in range(12)]
    hardware = find_hardware(machine(tmp_path, chips, [*nodes, "vfio/vfio"]))
    assert hardware.tpu_chips == ("v5e",) * 12
    assert hardware.tpu_nodes == tuple(str(tmp_path / "dev" / node) for node in nodes)
    assert not hardware.nvidia


def test_a_tpu_vm_of_the_older_kinds_has_accel_devices(tmp_path):
    hardware = find_hardware(machine(tmp_path, [("0x1ae0", "0x0027", "0x0")], ["accel0"]))
    assert hardware == Hardware(("v2 or v3",), (str(tmp_path / "dev/accel0"),))


def test_other_cards_behind_vfio_are_not_tpus(tmp_path):
    cards = [("0x8086", "0x1592", "0x020000"), ("0x1ae0", "0x0042", "0x020000")]
    assert find_hardware(machine(tmp_path, cards, ["vfio/0", "vfio/vfio"])) == Hardware()


@pytest.mark.parametrize(
    ("cards", "nodes", "driver"),
    [
        ([("0x10de", "0x2330", "0x030200")], ["nvidia0", "nvidiactl"], True),
        ([("0x10de", "0x2684", "0x030000")], [], False),
        ([], ["nvidiactl"], True),  # a container
        ([], ["dxg"], True),  # WSL 2
    ],
)
def test_an_nvidia_card_is_found_with_and_without_its_driver(tmp_path, cards, nodes, driver):
    expected = Hardware(nvidia=True, nvidia_driver=driver)
    assert find_hardware(machine(tmp_path, cards, nodes)) == expected


def test_the_sound_device_of_a_card_is_no_card(tmp_path):
    assert not find_hardware(machine(tmp_path, [("0x10de", "0x22ba", "0x040300")])).nvidia


def tpu(hardware, version_of, can_open=lambda path: True):
    return list(tpu_findings(hardware, version_of, IN_CHECKOUT, can_open))


def test_a_machine_without_a_tpu_has_no_finding_about_it():
    assert tpu(Hardware(), CPU) == []


def test_a_tpu_that_can_be_used_is_named():
    (finding,) = tpu(V5E, TPU)
    assert finding == ("TPU", "8 TPU chips (v5e): /dev/vfio/0 to /dev/vfio/7", "")


@pytest.mark.parametrize(
    ("hardware", "version_of", "openable", "found", "fix"),
    [
        (V5E, CPU, True, "this TensorFlow cannot use them", "make setup DEVICE=tpu"),
        (
            V5E._replace(tpu_nodes=()),
            TPU,
            True,
            "neither /dev/vfio/0 nor /dev/accel0",
            "--privileged",
        ),
        (V5E, TPU, False, "this user cannot open /dev/vfio/0", "ls -l /dev/vfio/0"),
    ],
)
def test_a_tpu_that_cannot_be_used_has_its_reason_and_cure(
    hardware, version_of, openable, found, fix
):
    (finding,) = tpu(hardware, version_of, lambda path: openable)
    assert found in finding.found
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("commands", "cure"),
    [(IN_CHECKOUT, "rm -rf .venv && make setup"), (INSTALLED, "pip uninstall -y")],
)
def test_two_builds_of_tensorflow_are_an_error_with_its_cure(commands, cure):
    both = {"tensorflow": "2.20.0", "tensorflow-tpu": "2.20.0", "libtpu": "0.0.20"}
    finding = next(build_findings(both.get, commands))
    assert "tensorflow 2.20.0 and tensorflow-tpu 2.20.0 are both installed" in finding.found
    assert finding.fix.startswith(cure)


def test_the_release_of_libtpu_is_that_of_the_lock():
    for name in ("tpu.in", "tpu.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert re.search(r"^libtpu==([0-9.]+)", text, re.M)[1] == accelerators.LIBTPU
    assert accelerators.LIBTPU in INSTALLED.for_tpu


def gpu(hardware, usable, version_of, environment=None):
    return gpu_finding(hardware, usable, version_of, IN_CHECKOUT, environment or {})


def test_the_gpus_that_tensorflow_uses_are_named():
    assert gpu(CARD, "NVIDIA H100 80GB HBM3", GPU) == ("GPU", "NVIDIA H100 80GB HBM3", "")
    assert gpu(Hardware(), "", CPU) == ("GPU", "none", "")


@pytest.mark.parametrize(
    ("hardware", "version_of", "fix"),
    [
        (CARD, CPU, "make setup DEVICE=gpu"),
        (CARD, TPU, "make setup DEVICE=gpu"),
        (CARD, GPU, "TF_CPP_MIN_LOG_LEVEL=0 python"),
        (CARD._replace(nvidia_driver=False), GPU, "nvidia-smi"),
    ],
)
def test_a_card_that_tensorflow_cannot_use_is_a_problem_with_its_cure(hardware, version_of, fix):
    finding = gpu(hardware, "", version_of)
    assert finding.found == "an NVIDIA card is here and this TensorFlow cannot use it"
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize("value", ["", "-1"])
def test_a_card_that_the_user_hides_is_no_problem(value):
    finding = gpu(CARD, "", GPU, {"CUDA_VISIBLE_DEVICES": value})
    assert "hidden by CUDA_VISIBLE_DEVICES" in finding.found
    assert finding.fix == ""


def paths(value, files, version_of):
    return list(library_path_findings(value, lambda folder: files.get(folder, []), version_of))


def test_a_library_path_is_shown_and_an_unset_one_is_not():
    assert paths("", {}, GPU) == []
    (finding,) = paths("/opt/lib", {"/opt/lib": ["libfoo.so"]}, GPU)
    assert finding == ("LD_LIBRARY_PATH", "/opt/lib", "")


@pytest.mark.parametrize(
    ("file", "version_of", "wrong"),
    [
        ("libcudnn.so.8", GPU, True),
        ("libcudnn.so.8", CPU, False),  # the system's CUDA is the only one
        ("libtpu.so", TPU, True),
        ("libtpu.so", CPU, False),
        ("libtensorflow_framework.so.2", CPU, True),
        ("libtensorflow_framework.so.2", TPU, True),
    ],
)
def test_a_library_that_replaces_an_installed_one_is_a_problem(file, version_of, wrong):
    (finding,) = paths("/a::/b", {"/b": [file, "libz.so"]}, version_of)
    assert bool(finding.fix) == wrong
    assert (f"/b/{file}" in finding.found) == wrong
