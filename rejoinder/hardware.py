"""Finds TPUs, NVIDIA cards and bfloat16 instructions, without their drivers' libraries."""

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import NamedTuple

_GOOGLE, _NVIDIA = "0x1ae0", "0x10de"
# PCI device numbers of TPU chips, as in jax's `hardware_utils.py`.
_TPU_CHIPS = {
    "0x0027": "v2 or v3",
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
    "0x0076": "v7x",
}
_DISPLAY_CLASSES = ("0x0300", "0x0302")
# A loaded driver makes the first two; WSL 2 has only the third.
_NVIDIA_NODES = ("nvidiactl", "nvidia0", "dxg")


class Hardware(NamedTuple):
    """The accelerators of this machine, whatever TensorFlow can do with them.

    Attributes:
        tpu_chips: Kind of each TPU chip on the PCI bus, such as `v5e`.
        tpu_nodes: Devices through which libtpu opens the chips: /dev/vfio/0 … (v5e and later) or
            /dev/accel0 ….
        nvidia: Whether an NVIDIA card is here.
        nvidia_driver: Whether NVIDIA's driver is loaded.
    """

    tpu_chips: tuple[str, ...] = ()
    tpu_nodes: tuple[str, ...] = ()
    nvidia: bool = False
    nvidia_driver: bool = False


def find_hardware(root: Path = Path("/")) -> Hardware:
    """Returns the accelerators of this machine.

    Args:
        root: Folder that holds `sys` and `dev`.
    """
    dev, cards = root / "dev", list(_pci_cards(root))
    chips = tuple(
        _TPU_CHIPS[number]
        for vendor, number, _ in cards
        if vendor == _GOOGLE and number in _TPU_CHIPS
    )
    nodes = _numbered(dev, "accel")
    if chips:  # other devices that a virtual machine passes through are in /dev/vfio too
        nodes += _numbered(dev / "vfio", "")
    driver = any((dev / name).exists() for name in _NVIDIA_NODES)
    card = any(vendor == _NVIDIA and kind[:6] in _DISPLAY_CLASSES for vendor, _, kind in cards)
    return Hardware(chips, nodes, card or driver, driver)


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns whether the processor multiplies matrices of bfloat16 (AMX or AVX512-BF16).

    Args:
        cpuinfo: The kernel's description of the processors.
    """
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        return False
    return bool(flags and {"amx_bf16", "avx512_bf16"} & set(flags[1].split()))


def leave_tpu_alone(environment: MutableMapping[str, str]) -> None:
    """Keeps tensorflow-tpu from opening the TPU when it is imported.

    One process at a time can have it, and off a TPU VM libtpu asks for a metadata server for
    minutes.

    Args:
        environment: The environment variables of the process.
    """
    environment.setdefault("TPU_LOAD_LIBRARY", "0")


def _pci_cards(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yields vendor, device number and class of each card."""
    for folder in sorted(root.glob("sys/bus/pci/devices/*")):
        try:
            vendor, number, kind = (
                (folder / name).read_text().strip() for name in ("vendor", "device", "class")
            )
        except OSError:
            continue
        yield vendor, number, kind


def _numbered(folder: Path, prefix: str) -> tuple[str, ...]:
    """Returns the paths `folder/prefixN` by their numbers."""
    found = [
        (int(match[1]), str(path))
        for path in folder.glob(f"{prefix}*")
        if (match := re.fullmatch(rf"{prefix}(\d+)", path.name))
    ]
    return tuple(path for _, path in sorted(found))
