"""Where the workers of a runner are, and which paths they can reach."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.job.runners import RunnerChoice

DATAFLOW = "DataflowRunner"
_HERE = {"localhost", "127.0.0.1", "::1", "embed"}
_PORTABLE = {"PortableRunner", "PrismRunner", "FlinkRunner", "SparkRunner"}
# Types in /proc/mounts of file systems that several machines share.
_SHARED = re.compile(
    r"nfs\d*|cifs|smb\d*|lustre|ceph|beegfs|gpfs|9p|afs|fuse\..+|glusterfs|virtiofs"
)


def check_paths(runner: RunnerChoice, paths: Iterable[tuple[str, str]]) -> None:
    """Checks that the workers of a runner can reach what options name.

    Args:
        runner: The runner and its options.
        paths: (option, path or URL) of the inputs, the output and a local tokenizer.

    Raises:
        UserError: A path is on a disk of this machine, and the workers are elsewhere.
    """
    where = workers_place(runner)
    if not where:
        return
    for option, path in paths:
        if storage.is_local(path) and not (where == OTHER_MACHINES and on_shared_disk(path)):
            raise UserError(
                f"{option} {path}: is on a disk of this machine, and the workers of "
                f"--runner {runner.name} are {where}; copy it to a bucket and give gs://… or "
                "s3://…, or leave --runner out"
            )


IN_CONTAINERS = "in containers, which see no disk of this machine"
OTHER_MACHINES = "on other machines"
GOOGLES_MACHINES = "on machines of Google Cloud"


def workers_place(runner: RunnerChoice) -> str:
    """Returns where the workers are if they cannot read this machine's disk, "" if they can.

    It follows Beam's rules for `--environment_type`: where it is not given, the workers are
    in this process if the engine is on this machine, and in containers otherwise.
    """
    if runner.name == DATAFLOW:
        return GOOGLES_MACHINES
    if runner.is_local or runner.name not in _PORTABLE:
        return ""
    options = runner.pipeline_options().get_all_options()
    environment = (options["environment_type"] or "").upper()
    engine_is_here = _engine_is_here(runner.name, options)
    if not environment:
        loopback = runner.name != "PortableRunner" and engine_is_here
        environment = "LOOPBACK" if loopback else "DOCKER"
    if environment == "DOCKER":
        return IN_CONTAINERS
    if environment == "EXTERNAL":
        host = (options["environment_config"] or "").rpartition(":")[0]
        return "" if host.strip("[]") in _HERE else OTHER_MACHINES
    if environment == "PROCESS":
        return "" if engine_is_here else OTHER_MACHINES
    return ""  # LOOPBACK: in this process


def _engine_is_here(name: str, options: dict) -> bool:
    """Returns whether the engine runs the workers on this machine, as Beam decides it."""
    endpoint = options["job_endpoint"] or ""
    if name == "FlinkRunner":
        return options["flink_master"] in ("[local]", "[auto]")
    if name == "SparkRunner":
        return bool(re.match(r"local(\[.+\])?$", options["spark_master_url"]))
    return not endpoint or endpoint.rpartition(":")[0].strip("[]") in _HERE or endpoint in _HERE


def on_shared_disk(path: str) -> bool:
    """Returns whether a local path is on a file system that several machines share (Linux)."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    path, best, kind = os.path.realpath(path), "", ""
    for line in mounts.splitlines():
        _, point, file_system, *_ = line.split()
        below = path == point or path.startswith(point.rstrip("/") + "/")
        if below and len(point) >= len(best):
            best, kind = point, file_system
    return _SHARED.fullmatch(kind) is not None


def image_warning(runner: RunnerChoice) -> str | None:
    """Returns the warning about a job for Dataflow whose workers have not this package."""
    if runner.name != DATAFLOW:
        return None
    options = runner.pipeline_options().get_all_options()
    given = ("sdk_container_image", "setup_file", "requirements_file", "extra_packages")
    if any(options[name] for name in given):
        return None
    return (
        "warning: --sdk_container_image is missing: Dataflow's own image has neither this package "
        "nor its dependencies; build deploy/dataflow/Dockerfile and give the image's name"
    )
