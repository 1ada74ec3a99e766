"""Refuses TPU slices of several hosts, on which TensorFlow does not return.

A slice of one host (v5litepod-8, v6e-8, v3-8) is a local device. For more hosts, one process has to
connect to a TensorFlow server on each of them. With PJRT, the only runtime for v5e and later,
TensorFlow 2.19 was reported to wait there without an end
(https://github.com/tensorflow/tensorflow/issues/93618), and there is no image with servers of 2.20.

This module does not import TensorFlow: `--tpu local` is checked before.
"""

import http.client
from collections.abc import Mapping

from rejoinder.errors import UserError

_HOSTNAMES = "TPU_WORKER_HOSTNAMES"
# Where libtpu finds the hosts of its slice on Google Cloud, one `name:port:address` each
# (https://cloud.google.com/compute/docs/metadata/querying-metadata).
_SERVER = "metadata.google.internal"
_PATH = "/computeMetadata/v1/instance/attributes/worker-network-endpoints"
_SECONDS = 3.0


def check_one_host(tpu: str, hosts: int) -> None:
    """Checks that a TPU is on one host.

    Args:
        tpu: The value of `--tpu`.
        hosts: Number of hosts of its slice.

    Raises:
        UserError: There are several hosts.
    """
    if hosts > 1:
        where = f"this is one of {hosts} hosts" if tpu == "local" else f"has {hosts} hosts"
        raise UserError(
            f"--tpu {tpu}: {where} of a TPU slice, and training uses one host; take v5litepod-8, "
            "v6e-8 or v3-8"
        )


def count_hosts(environment: Mapping[str, str]) -> int:
    """Returns the number of hosts of the slice to which this TPU VM belongs.

    Args:
        environment: The environment variables of the process. TPU_WORKER_HOSTNAMES, which
            Kubernetes sets, is believed; without it the metadata server is asked.

    Returns:
        The number; 1 where nobody says that there are more.
    """
    names = environment.get(_HOSTNAMES) or _endpoints(environment)
    return len(names.split(","))


def _endpoints(environment: Mapping[str, str]) -> str:
    """Returns the hosts that the metadata server lists; empty if there is no answer."""
    server = environment.get("GCE_METADATA_IP", _SERVER)
    connection = http.client.HTTPConnection(server, timeout=_SECONDS)
    try:
        connection.request("GET", _PATH, headers={"Metadata-Flavor": "Google"})
        response = connection.getresponse()
        return response.read().decode() if response.status == http.client.OK else ""
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return ""
    finally:
        connection.close()
