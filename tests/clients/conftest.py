"""Fixtures of the tests with public clients: real servers, expected vectors, and tools.

Each client runs in a process of its own, in its own language, and prints the vectors that it
received; they are compared with those of a plain request (`check_vectors`).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

from rejoinder.serving.testing import start_server

HERE = Path(__file__).parent
KEY = "sesame"


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of versions of a tiny model: 16 dimensions, 32 tokens."""
    from rejoinder.models.saved_model.testing import publish_tiny

    folder = tmp_path_factory.mktemp("exports") / "tiny"
    publish_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def server(base):
    """A real server with default options: `url` (REST), `grpc` (host:port), `model` (its name)."""
    running = start_server(base)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def guarded(base):
    """A real server that asks for the key `KEY`, with the attributes of `server`."""
    running = start_server(base, env={"REJOINDER_API_KEYS": KEY})
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def plain(server):
    """Returns a function: the vectors, float32 [texts, 16], of a plain REST request."""

    def embed(texts):
        url = f"{server.url}/v1/models/{server.model}:predict"
        answer = httpx.post(url, json={"instances": texts}, timeout=60)
        answer.raise_for_status()
        predictions = answer.json()["predictions"]
        return np.array([row["embedding"] for row in predictions], np.float32)

    return embed


@pytest.fixture(scope="session")
def check_vectors(plain):
    """Returns a function that compares a client's vectors of texts with a plain request's."""

    def check(found, texts):
        expected, found = plain(texts), np.array(found, np.float32)
        assert found.shape == expected.shape
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        cosines = (found * expected).sum(axis=1) / lengths
        assert cosines.min() > 0.99999, cosines

    return check


@pytest.fixture(scope="session")
def tool():
    """Returns a function: the path of a program; skips the test where it is not installed."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"needs {name}, which is not installed")
        return path

    return find


@pytest.fixture(scope="session")
def run_client():
    """Returns a function that runs a client and returns what it prints; `texts` are its input.

    The addresses are in its environment: REJOINDER_URL, REJOINDER_GRPC, REJOINDER_MODEL and,
    where the server asks for one, REJOINDER_KEY.
    """

    def run(command, server, *, texts=(), key="", cwd=None, timeout=120):
        env = {
            **os.environ,
            "REJOINDER_URL": server.url,
            "REJOINDER_GRPC": server.grpc,
            "REJOINDER_MODEL": server.model,
            "REJOINDER_KEY": key,
        }
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or HERE,
            env=env,
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
