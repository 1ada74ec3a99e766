"""The checks of `rejoinder doctor` for TPUs, NVIDIA cards and the libraries that they need.

Pure functions of what was found, so that they are tested on a machine without accelerators.
"""

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from rejoinder.hardware import Hardware
from rejoinder.versions import TENSORFLOW_BUILDS

# The release that requirements/tpu.txt holds; requirements/tpu.in says why.
LIBTPU = "0.0.20"

# Libraries of a package, by which a file in LD_LIBRARY_PATH with the same name comes first.
_LIBRARIES = {
    "libtpu": ("libtpu.so*",),
    "tensorflow": ("libtensorflow*.so*",),
    "tensorflow-tpu": ("libtensorflow*.so*",),
    "nvidia-cuda-runtime-cu12": ("libcudart.so*",),
    "nvidia-cudnn-cu12": ("libcudnn*.so*",),
    "nvidia-cublas-cu12": ("libcublas*.so*",),
}

VersionOf = Callable[[str], str | None]


class Commands(NamedTuple):
    """Shell commands that fix an installation."""

    install: str
    reinstall: str
    other_python: str
    one_tensorflow: str
    for_tpu: str
    for_gpu: str


class Finding(NamedTuple):
    """One line of the report; `fix` is the command that fixes a problem, or empty."""

    check: str
    found: str
    fix: str = ""


def build_findings(version_of: VersionOf, commands: Commands) -> Iterator[Finding]:
    """Yields which builds of TensorFlow are installed, if that is wrong, and libtpu's release.

    Args:
        version_of: Returns the version of a package, or None where it is missing.
        commands: Commands to suggest.
    """
    for_tpu = version_of("tensorflow-tpu")
    builds = [f"{name} {version}" for name in TENSORFLOW_BUILDS if (version := version_of(name))]
    if len(builds) > 1:
        yield Finding(
            "tensorflow",
            f"{' and '.join(builds)} are both installed, and each has overwritten files of the "
            "other",
            commands.one_tensorflow,
        )
    libtpu = version_of("libtpu")
    if for_tpu and libtpu != LIBTPU:
        note = f"tensorflow-tpu {for_tpu} is used with libtpu {LIBTPU}"
        yield Finding("libtpu", libtpu or "missing", f"{commands.for_tpu}  # {note}")
    elif libtpu:
        yield Finding("libtpu", libtpu)


def tpu_findings(
    hardware: Hardware,
    version_of: VersionOf,
    commands: Commands,
    can_open: Callable[[str], bool],
) -> Iterator[Finding]:
    """Yields whether the TPU of this machine can be used; nothing without a TPU.

    Args:
        hardware: The accelerators of this machine.
        version_of: Returns the version of a package, or None where it is missing.
        commands: Commands to suggest.
        can_open: Whether this user can open a device for reading and writing.
    """
    if not hardware.tpu_chips and not hardware.tpu_nodes:
        return
    counts = Counter(hardware.tpu_chips).items()
    chips = " and ".join(f"{count} TPU chips ({kind})" for kind, count in counts) or "a TPU"
    closed = [path for path in hardware.tpu_nodes if not can_open(path)]
    if not version_of("tensorflow-tpu"):
        found, fix = "here, and this TensorFlow cannot use them", commands.for_tpu
    elif not hardware.tpu_nodes:
        found = "here, but neither /dev/vfio/0 nor /dev/accel0"
        fix = "docker run --privileged …  # a container has only the devices that it is given"
    elif closed:
        found = f"here, but this user cannot open {closed[0]}"
        fix = f"ls -l {closed[0]}  # run as a user of its group, or as root"
    else:
        found, fix = f"{hardware.tpu_nodes[0]} to {hardware.tpu_nodes[-1]}", ""
    yield Finding("TPU", f"{chips}: {found}", fix)


def gpu_finding(
    hardware: Hardware,
    usable: str,
    version_of: VersionOf,
    commands: Commands,
    environment: Mapping[str, str],
) -> Finding:
    """Returns which GPUs TensorFlow uses, or why it uses none though a card is here.

    Args:
        hardware: The accelerators of this machine.
        usable: Names of the GPUs that TensorFlow sees; empty for none.
        version_of: Returns the version of a package, or None where it is missing.
        commands: Commands to suggest.
        environment: The environment variables.
    """
    if usable or not hardware.nvidia:
        return Finding("GPU", usable or "none")
    if "CUDA_VISIBLE_DEVICES" in environment and hardware.nvidia_driver:
        value = environment["CUDA_VISIBLE_DEVICES"]
        if value in ("", "-1"):
            return Finding("GPU", f"an NVIDIA card is hidden by CUDA_VISIBLE_DEVICES={value!r}")
    found = "an NVIDIA card is here and this TensorFlow cannot use it"
    if not hardware.nvidia_driver:
        fix = "nvidia-smi  # NVIDIA's driver is not loaded; install it first"
    elif not version_of("nvidia-cudnn-cu12"):
        fix = commands.for_gpu
    else:
        fix = (
            'TF_CPP_MIN_LOG_LEVEL=0 python -c "import tensorflow as tf; '
            "tf.config.list_physical_devices('GPU')\"  # says which library or driver it lacks"
        )
    return Finding("GPU", found, fix)


def library_path_findings(
    value: str, files_in: Callable[[str], Iterable[str]], version_of: VersionOf
) -> Iterator[Finding]:
    """Yields whether LD_LIBRARY_PATH puts other libraries in place of the installed ones.

    Args:
        value: Value of the variable; empty if it is not set.
        files_in: Returns the names of the files in a folder.
        version_of: Returns the version of a package, or None where it is missing.
    """
    if not value:
        return
    patterns = {
        name for package in _LIBRARIES if version_of(package) for name in _LIBRARIES[package]
    }
    for folder in filter(None, value.split(":")):
        for file in sorted(files_in(folder)):
            if any(fnmatch.fnmatch(file, pattern) for pattern in patterns):
                found = f"{folder}/{file} is loaded in place of this environment's own"
                yield Finding("LD_LIBRARY_PATH", found, "unset LD_LIBRARY_PATH")
                return
    yield Finding("LD_LIBRARY_PATH", value)
