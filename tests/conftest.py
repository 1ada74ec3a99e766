"""Fixtures of all tests. Imports `rejoinder` first, so that triton comes before TensorFlow."""

import contextlib
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import settings

from rejoinder import object_store, storage

# How long an example takes depends on the machine's load.
settings.register_profile("rejoinder", deadline=None)
settings.load_profile("rejoinder")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Returns a function that returns a port on which nothing listens."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def wait_for() -> Callable[[int, subprocess.Popen], None]:
    """Returns a function that waits until a process listens on a port."""

    def wait(port: int, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"nothing listens on port {port}")

    return wait


@pytest.fixture(scope="session")
def gs_emulator(
    free_port, wait_for, tmp_path_factory
) -> Callable[[str], AbstractContextManager[str]]:
    """Returns a context manager that runs the Cloud Storage emulator; yields its URL.

    Its argument is the name of a bucket, which the emulator makes.
    """

    @contextlib.contextmanager
    def run(bucket: str) -> Iterator[str]:
        port = free_port()
        program = Path(sys.executable).with_name("gcp-storage-emulator")
        emulator = subprocess.Popen(
            [
                *(str(program), "start", "--host=127.0.0.1", f"--port={port}"),
                *("--in-memory", f"--default-bucket={bucket}"),
            ],
            cwd=tmp_path_factory.mktemp("emulator"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, emulator)
            yield f"http://127.0.0.1:{port}"
        finally:
            emulator.terminate()
            emulator.wait()

    return run


@pytest.fixture(scope="session")
def store_environment() -> Callable[..., AbstractContextManager[None]]:
    """Returns a context manager that sets environment variables for clients of object stores."""

    @contextlib.contextmanager
    def environment(**variables: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            object_store._filesystem.cache_clear()
            yield
        object_store._filesystem.cache_clear()

    return environment


@pytest.fixture(scope="module")
def gs(gs_emulator, store_environment) -> Iterator[str]:
    """A bucket of the Cloud Storage emulator."""
    with gs_emulator("bucket") as address, store_environment(STORAGE_EMULATOR_HOST=address):
        yield "gs://bucket"


@pytest.fixture(scope="module")
def s3(store_environment) -> Iterator[str]:
    """A bucket of moto's S3 server."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with store_environment(
            AWS_ENDPOINT_URL=f"http://{host}:{port}",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION="us-east-1",
        ):
            # moto keeps its buckets as long as the process.
            object_store.filesystem("s3://bucket").makedirs("bucket", exist_ok=True)
            yield "s3://bucket"
    finally:
        server.stop()


@pytest.fixture
def local_objects(monkeypatch):
    """Local files behind the object store's functions: no folder to make, none to rename."""
    store = LocalFileSystem(auto_mkdir=True)

    def open_read(path: str) -> BinaryIO:
        return open(path, "rb")

    def find(folder: str) -> list[tuple[str, int]]:
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        return [(str(path), path.stat().st_size) for path in files]

    monkeypatch.setattr(object_store, "open_read", open_read)
    monkeypatch.setattr(object_store, "filesystem", lambda path: store)
    monkeypatch.setattr(object_store, "find", find)
    monkeypatch.setattr(storage, "is_local", lambda path: False)
    return store


@pytest.fixture(params=["folder", "objects"])
def store(request):
    """Publishes to a local folder, and to an object store."""
    return request.getfixturevalue("local_objects") if request.param == "objects" else None


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory):
    """A copy of the checkout without ignored files; builds leave their files there."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    return tree


@pytest.fixture(scope="session")
def wheel(source_tree, tmp_path_factory):
    """The wheel of the checkout."""
    return build_wheel(source_tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of a new environment with the wheel and the dependencies, no checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    # A folder that a .pth file adds is searched, but its own .pth files are not read: the
    # dependencies are found, and the editable installation of this checkout is not.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel],
        check=True,
    )
    return folder / "bin"


def build_wheel(source, folder):
    """Builds the wheel of a source tree or sdist; returns its path in `folder`."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, source], check=True)
    (built,) = folder.glob("*.whl")
    return built
