"""Versions of installed packages, for records of what made a file."""

from importlib.metadata import PackageNotFoundError, version

# Distributions with the same modules; an environment holds one of them.
TENSORFLOW_BUILDS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")


def installed_version(package: str) -> str | None:
    """Returns the version of a package, or None if it is not installed.

    The version of `tensorflow` is that of the build that is installed: images for CPUs have
    tensorflow-cpu, and TPU VMs have tensorflow-tpu.
    """
    for name in TENSORFLOW_BUILDS if package == "tensorflow" else (package,):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
