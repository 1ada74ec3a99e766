"""Finds out within seconds whether a TPU can be reached; TensorFlow itself waits for minutes."""

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.distribution import pjrt
from rejoinder.trainer.distribution.slices import check_one_host

_LOOKUP_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_SERVER_SECONDS = 8.0


def check_tpu(tpu: str) -> None:
    """Checks that a TPU has one host and that a gRPC server listens at its address.

    Args:
        tpu: `local`, a TPU's name, or `grpc://address:port`.

    Raises:
        UserError: There is no such TPU, it has several hosts, or it cannot be reached.
    """
    if tpu == "local":
        if not pjrt.is_set(os.environ):
            raise UserError(
                "runtime.tpu: local has to be given on the command line as --tpu local, because "
                "TensorFlow looks for the TPU when it is imported, before it reads a configuration"
            )
        return
    addresses = _addresses(tpu)
    check_one_host(tpu, len(addresses))
    for address in addresses:
        _check_server(tpu, address)


def refusal(tpu: str, reason: object) -> UserError:
    """Returns the error for a TPU that cannot be used."""
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return UserError(
        f"--tpu {tpu}: cannot connect to a TPU ({lines[0]}); on a TPU VM use --tpu local with "
        "`make setup DEVICE=tpu`, elsewhere give the name of the TPU or its grpc:// address"
    )


def _addresses(tpu: str) -> list[str]:
    """Returns `host:port` of each worker, which for a name are asked from Google Cloud."""

    def look_up() -> list[str]:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        return [str(address) for address in resolver.cluster_spec().as_dict()["worker"]]

    # Any exception: the client of Google Cloud raises those of four libraries.
    found, error = _within(_LOOKUP_SECONDS, look_up)
    if error is not None:
        raise refusal(tpu, error)
    if found is None:
        raise refusal(tpu, f"Google Cloud did not answer in {_LOOKUP_SECONDS:.0f} s")
    return list(found)


def _check_server(tpu: str, address: str) -> None:
    import grpc

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=_SERVER_SECONDS)
    except (OSError, ValueError, OverflowError) as error:
        raise refusal(tpu, f"{address}: {error}") from error
    except grpc.FutureTimeoutError as error:
        raise refusal(tpu, f"{address}: is not a gRPC server") from error


def _within(seconds: float, call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Returns the result of a call and its exception; both None after `seconds`."""
    outcome: list[tuple[Any, Exception | None]] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except Exception as error:  # handed to the caller
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else (None, None)
