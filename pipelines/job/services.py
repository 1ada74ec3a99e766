"""Checks the services of a cluster's runner, for which Beam's own answers are tracebacks."""

import os
import socket
from typing import Any

from apache_beam.runners.runner import PipelineRunner, create_runner

from rejoinder.errors import UserError
from rejoinder.pipelines.job.runners import RunnerChoice

_CONNECT_SECONDS = 5.0
# First bytes of ELF and of Mach-O (64 bits, one or several architectures).
_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_EMBEDDED = "embed"  # Beam's name of a job service in this process


def create(runner: RunnerChoice) -> PipelineRunner:
    """Returns Beam's runner object.

    Raises:
        UserError: It cannot be imported, or a service that an option names is not there.
    """
    options = runner.pipeline_options().get_all_options()
    _check_prism(options)
    _check_job_endpoint(options)
    try:
        return create_runner(runner.name)
    except (ImportError, AttributeError) as error:  # a package is missing or too new for Beam
        raise UserError(
            f"--runner {runner.name}: cannot be imported ({error}); leave --runner out to run on "
            "this machine"
        ) from error


def _check_prism(options: dict[str, Any]) -> None:
    path = options["prism_location"]
    if path and os.path.exists(path) and not path.endswith(".zip"):
        if not os.path.isfile(path):
            raise UserError(f"--prism_location {path}: is not a file; give that of a Prism binary")
        with open(path, "rb") as file:
            if file.read(4) not in _PROGRAMS:
                raise UserError(
                    f"--prism_location {path}: is not a program of this system; give the path of "
                    "a Prism binary"
                )


def _check_job_endpoint(options: dict[str, Any]) -> None:
    endpoint = options["job_endpoint"]
    if not endpoint or endpoint == _EMBEDDED:
        return
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--job_endpoint {endpoint}: must be HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--job_endpoint {endpoint}: no job service answers there ({error}); check the "
            "address, and that the service runs"
        ) from error
