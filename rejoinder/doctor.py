"""`make doctor`: is this machine fit, and if not, which command mends it?

Runs on a bare Python as well as in the project's environment: only the checks of
TensorFlow's devices and of `gs://` paths need the environment, and they say so.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

NEEDED_DISK_GIB = 8
REINSTALL = "rm -f .venv/.installed && make setup"

# Prints what TensorFlow sees; in a process of its own, since a broken installation may crash it.
_DEVICES = """
import os, tensorflow as tf
names = [d.name for kind in ("TPU", "GPU") for d in tf.config.list_physical_devices(kind)]
names += ["local TPU (/dev/accel0)"] * os.path.exists("/dev/accel0")
names += [os.environ["TPU_NAME"]] * ("TPU_NAME" in os.environ)
print(", ".join(names) or "none, training runs on the CPU")
"""
_LIST = "import sys, tensorflow as tf; print(len(tf.io.gfile.glob(sys.argv[1] + '*')), 'entries')"


class Finding(NamedTuple):
    """One line of the report; `mend` is empty where nothing has to be done."""

    check: str
    found: str
    mend: str = ""


def version_findings(version_of: Callable[[str], str | None]) -> Iterator[Finding]:
    """Yields the findings on packages; `version_of(name)` returns None for a missing package."""
    tensorflow = version_of("tensorflow")
    if tensorflow is None:
        yield Finding("environment", "TensorFlow is not installed", "make setup")
        return
    yield Finding(
        "tensorflow",
        tensorflow,
        # pip resolves TF 2.21 with Model Garden 2.7, which imports modules that are long gone.
        "" if _minor(tensorflow) == (2, 20) else f"{REINSTALL}  # this project needs 2.20",
    )
    for name in ("tf-models-official", "tensorflow-text", "tf-keras"):
        version = version_of(name)
        matches = version is not None and _minor(version) == _minor(tensorflow)
        yield Finding(
            name,
            version or "missing",
            "" if matches else f"{REINSTALL}  # must be of the same minor release as tensorflow",
        )
    setuptools = version_of("setuptools")
    usable = setuptools is not None and _minor(setuptools)[0] < 81
    yield Finding(
        "setuptools",
        setuptools or "missing",
        "" if usable else f"{REINSTALL}  # tensorflow_hub needs pkg_resources, gone in 81",
    )
    for name in ("apache-beam", "transformers", "gcsfs"):
        yield Finding(name, version_of(name) or "missing", "" if version_of(name) else REINSTALL)


def machine_findings(path: str = ".") -> Iterator[Finding]:
    """Yields the findings on Python, cores and the disk that holds `path`."""
    python = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info < (3, 14)
    yield Finding(
        "python",
        python,
        "" if supported else "rm -rf .venv && make setup PYTHON=/path/to/python3.11",
    )
    yield Finding("cores", str(os.cpu_count()))
    free = shutil.disk_usage(path).free / 2**30
    yield Finding(
        "free disk",
        f"{free:.0f} GiB",
        "" if free >= NEEDED_DISK_GIB else f"free at least {NEEDED_DISK_GIB} GiB: make clean",
    )


def device_finding() -> Finding:
    """Returns what accelerators TensorFlow sees."""
    status, output = _python(_DEVICES)
    if status:
        return Finding("TPU / GPU", f"TensorFlow does not start: {output}", REINSTALL)
    return Finding("TPU / GPU", output)


def cloud_finding(path: str) -> Finding:
    """Returns whether TensorFlow can list `path` (gs://bucket/prefix) from this machine."""
    status, output = _python(_LIST, path)
    if status:
        return Finding(
            path,
            f"cannot be listed: {output}",
            "gcloud auth application-default login  # and check the bucket's name",
        )
    return Finding(path, output)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: prints one line a check; status 1 when something has to be mended."""
    parser = argparse.ArgumentParser(prog="rejoinder doctor", description="Check this machine.")
    parser.add_argument("--gs", metavar="gs://…", help="also check access to this path")
    arguments = parser.parse_args(argv)
    findings = [*machine_findings(), *version_findings(_installed_version)]
    if findings[-1].check != "environment":
        findings.append(device_finding())
        if arguments.gs:
            findings.append(cloud_finding(arguments.gs))
    for check, found, mend in findings:
        print(f"{'mend' if mend else 'ok':<5} {check:<20} {found}")
        if mend:
            print(f"      {'':<20} $ {mend}")
    return int(any(finding.mend for finding in findings))


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _python(code: str, *arguments: str) -> tuple[int, str]:
    """Runs `code` in this interpreter; returns its status and the last line it printed."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "no answer within 120 s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode, lines[-1].strip() if lines else f"status {done.returncode}"
