"""`rejoinder doctor`: checks this machine and prints the command that fixes each problem.

Runs on a Python without any package as well as in the project's environment. Only the
checks of devices, of `gs://` paths and of engines need the environment; without it they are
left out.
"""

import argparse
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rejoinder import extras
from rejoinder.accelerators import (
    LIBTPU,
    Commands,
    Finding,
    build_findings,
    gpu_finding,
    library_path_findings,
    tpu_findings,
)
from rejoinder.hardware import find_hardware
from rejoinder.versions import TENSORFLOW_BUILDS

NEEDED_DISK_GIB = 8

# Prints the GPUs that TensorFlow sees; in its own process, because a broken installation may
# crash it.
_GPUS = """
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
print(", ".join(detail.get("device_name", "GPU") for detail in details))
"""
# Each prints how many entries a gs:// path has, through one of the two clients that are used.
_LISTINGS = {
    "gs:// by gcsfs": """
import sys
from rejoinder import storage
print(len(storage.glob(sys.argv[1].rstrip("/") + "/*")), "files in", sys.argv[1])
""",
    "gs:// by TensorFlow": """
import sys, tensorflow as tf
print(len(tf.io.gfile.listdir(sys.argv[1])), "entries in", sys.argv[1])
""",
}


IN_CHECKOUT = Commands(
    install="make setup",
    reinstall="rm -f .venv/.installed && make setup",
    other_python="rm -rf .venv && make setup PYTHON=/path/to/python3.11",
    one_tensorflow="rm -rf .venv && make setup  # on a TPU VM: make setup DEVICE=tpu",
    for_tpu="make setup DEVICE=tpu",
    for_gpu="make setup DEVICE=gpu",
)
_TPU_BUILD = f"pip install --force-reinstall --no-deps tensorflow-tpu==2.20.0 libtpu=={LIBTPU}"
INSTALLED = Commands(
    install="pip install rejoinder",
    reinstall="pip install --force-reinstall 'rejoinder[all]'",
    other_python="python3.11 -m venv ENVIRONMENT && ENVIRONMENT/bin/pip install rejoinder",
    one_tensorflow="pip uninstall -y tensorflow tensorflow-cpu tensorflow-tpu && "
    "pip install tensorflow==2.20.*"
    f"  # on a TPU VM: {_TPU_BUILD}",
    for_tpu=f"pip uninstall -y tensorflow && {_TPU_BUILD}",
    for_gpu="pip install 'rejoinder[gpu]'",
)

# Packages that an installation from a wheel may lack.
_OPTIONAL = {
    "tf-models-official": "not installed: the extra train has it",
    "apache-beam": "not installed: the extra pipeline has it",
    "transformers": "not installed: the extra pipeline has it",
    "gcsfs": "not installed: the extra gcs has it",
}


def fixing_commands() -> Commands:
    """Returns the commands for this installation: a checkout has a Makefile, a wheel has not."""
    makefile = Path(__file__).resolve().parents[1] / "Makefile"
    return IN_CHECKOUT if makefile.exists() else INSTALLED


def version_findings(
    version_of: Callable[[str], str | None], commands: Commands
) -> Iterator[Finding]:
    """Yields the findings on packages.

    Args:
        version_of: Returns the version of a package, or None where it is missing.
        commands: Commands to suggest.
    """
    build = next((name for name in reversed(TENSORFLOW_BUILDS) if version_of(name)), "tensorflow")
    tensorflow = version_of(build)
    if tensorflow is None:
        yield Finding("environment", "TensorFlow is not installed", commands.install)
        return
    yield Finding(
        build,
        tensorflow,
        # pip resolves TF 2.21 with Model Garden 2.7, which imports modules that were removed.
        "" if _minor(tensorflow) == (2, 20) else f"{commands.reinstall}  # this project needs 2.20",
    )
    left_out = _OPTIONAL if commands == INSTALLED else {}
    for name in ("tf-models-official", "tensorflow-text", "tf-keras"):
        version = version_of(name)
        if version is None and name in left_out:
            yield Finding(name, left_out[name])
            continue
        matches = version is not None and _minor(version) == _minor(tensorflow)
        yield Finding(
            name,
            version or "missing",
            ""
            if matches
            else f"{commands.reinstall}  # must be of the same minor release as tensorflow",
        )
    setuptools = version_of("setuptools")
    usable = setuptools is not None and _minor(setuptools)[0] < 81
    usable = usable or (version_of("tf-models-official") is None and bool(left_out))
    yield Finding(
        "setuptools",
        setuptools or "missing",
        ""
        if usable
        else f"{commands.reinstall}  # tensorflow_hub needs pkg_resources, which 81 removed",
    )
    for name in ("apache-beam", "transformers", "gcsfs"):
        version = version_of(name)
        found = version or left_out.get(name, "missing")
        yield Finding(name, found, "" if version or name in left_out else commands.reinstall)
    yield from build_findings(version_of, commands)


def machine_findings(commands: Commands, path: str = ".") -> Iterator[Finding]:
    """Yields the findings on Python, cores and the disk that holds `path`."""
    python = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info < (3, 14)
    yield Finding("python", python, "" if supported else commands.other_python)
    yield Finding("cores", str(os.cpu_count()))
    free = shutil.disk_usage(path).free / 2**30
    yield Finding(
        "free disk",
        f"{free:.0f} GiB",
        "" if free >= NEEDED_DISK_GIB else f"df -h .  # at least {NEEDED_DISK_GIB} GiB are needed",
    )


def device_findings(
    version_of: Callable[[str], str | None], commands: Commands
) -> Iterator[Finding]:
    """Yields which accelerators are here and whether TensorFlow can use them."""
    hardware = find_hardware()
    yield from tpu_findings(
        hardware, version_of, commands, lambda path: os.access(path, os.R_OK | os.W_OK)
    )
    status, output = _python(_GPUS)
    if status:
        yield Finding("GPU", f"TensorFlow does not start: {output}", commands.reinstall)
    else:
        yield gpu_finding(hardware, output, version_of, commands, os.environ)
    yield from library_path_findings(os.environ.get("LD_LIBRARY_PATH", ""), _files_in, version_of)
    if name := os.environ.get("TPU_NAME"):
        yield Finding("TPU_NAME", name)


def cloud_findings(path: str) -> Iterator[Finding]:
    """Yields whether this machine can list `path` (gs://bucket/folder).

    gcsfs reads and writes corpora and models; TensorFlow reads and writes checkpoints.
    """
    for check, program in _LISTINGS.items():
        status, output = _python(program, path)
        fix = "gcloud auth application-default login  # and check the bucket's name"
        yield Finding(
            check, f"{path} cannot be listed: {output}" if status else output, fix if status else ""
        )


def engine_findings(runner: str, folder: str, beam_arguments: Sequence[str]) -> Iterator[Finding]:
    """Yields whether a Beam runner writes the same bytes as this machine.

    Args:
        runner: The name of the runner.
        folder: A folder that this machine and the workers reach, "" chooses one.
        beam_arguments: The runner's options.
    """
    extras.check_installed("pipeline", "doctor --runner")
    from rejoinder.pipelines.engine_check import check_engine

    options = ["--runner", runner, *(["--folder", folder] if folder else []), *beam_arguments]
    again = shlex.join(["rejoinder", "doctor", *options])
    for check, found, failed in check_engine(runner, folder, beam_arguments):
        yield Finding(check, found, f"{again}  # after a correction" if failed else "")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one line per check; returns 1 if a check found a problem."""
    parser = argparse.ArgumentParser(
        prog="rejoinder doctor",
        description="Checks versions, disk and devices, and prints a command for each problem.",
    )
    cloud = parser.add_argument_group("cloud storage")
    cloud.add_argument("--gs", metavar="gs://…", help="also check access to this path")
    engine = parser.add_argument_group(
        "engine", "Other options go to Apache Beam: give those of `rejoinder preprocess`."
    )
    engine.add_argument(
        "--runner",
        default="",
        help="also run a small generated dump on this Beam runner, and compare the result",
    )
    engine.add_argument(
        "--folder",
        default="",
        metavar="DIR",
        help="folder that this machine and the workers reach (default: a temporary folder; "
        "--temp_location for workers on other machines)",
    )
    arguments, beam_arguments = parser.parse_known_args(argv)
    if beam_arguments and not arguments.runner:
        parser.error(f"unrecognized arguments: {' '.join(beam_arguments)}")
    commands = fixing_commands()
    findings = [*machine_findings(commands), *version_findings(_installed_version, commands)]
    if findings[-1].check != "environment":
        findings += device_findings(_installed_version, commands)
        if arguments.gs:
            findings += cloud_findings(arguments.gs)
        if arguments.runner:
            findings += engine_findings(arguments.runner, arguments.folder, beam_arguments)
    print(report(findings))
    return int(any(finding.fix for finding in findings))


def report(findings: Sequence[Finding]) -> str:
    """Returns the findings as lines, each problem followed by its command, and a last line."""
    lines = []
    for check, found, fix in findings:
        lines.append(f"{'fix' if fix else 'ok':<5} {check:<20} {found}")
        if fix:
            lines.append(f"      {'':<20} $ {fix}")
    problems = sum(bool(finding.fix) for finding in findings)
    if problems:
        lines.append(f"{problems} to fix: run the lines that begin with $, then this check again")
    else:
        lines.append("no problem found; next: rejoinder quickstart")
    return "\n".join(lines)


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _files_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _python(code: str, *arguments: str) -> tuple[int, str]:
    """Runs `code` in a new process; returns its status and the last line it printed."""
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
    if not lines:
        return done.returncode, f"status {done.returncode}" if done.returncode else ""
    return done.returncode, lines[-1].strip()
