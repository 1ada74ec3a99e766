"""Fixtures: servers in their own processes with a tiny model, and a browser."""

import base64
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from rejoinder.serving.testing import start_server


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    from rejoinder.models.saved_model.testing import publish_tiny

    base = tmp_path_factory.mktemp("exports") / "tiny"
    publish_tiny(base)
    return base


@pytest.fixture(scope="session")
def start():
    """Returns a function that starts a separate server, which the test stops."""
    return start_server


@pytest.fixture(scope="session")
def server(tiny_base):
    """The shared server, with default limits except for the number of texts."""
    running = start_server(tiny_base, "--label", "tiny:stable=1", "--max-items", "64")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def indexed_texts():
    """The texts of the index `small` of the server `searching`."""
    return ["red green blue", "red green q", "x y z"]


@pytest.fixture(scope="session")
def searching(tiny_base, tmp_path_factory, vectors, indexed_texts):
    """A server with an index and default limits."""
    import pyarrow as pa

    from rejoinder.retrieval.index_builder import build

    folder = str(tmp_path_factory.mktemp("index"))
    columns = {"text": indexed_texts, "subreddit": ["colours", "colours", "letters"]}
    build(folder, [(pa.table(columns), vectors(indexed_texts))], model="tiny", source="test")
    running = start_server(tiny_base, "--index", f"small={folder}", "--label", "tiny:stable=1")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def vectors():
    """Returns a function that embeds texts with the encoder itself."""
    import tensorflow as tf

    from rejoinder.models.saved_model.testing import TinyEncoder, TinyTokenizer

    def encode(texts, seed=0):
        tokens = TinyTokenizer()(tf.constant(texts), max_length=32)
        return TinyEncoder(seed)({"token_ids": tokens.ids.to_tensor(1)}).numpy()

    return encode


class Browser:
    """The few WebDriver commands that these tests need."""

    def __init__(self, driver: str):
        options = {
            "binary": shutil.which("chromium"),
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,1500"],
        }
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        self.http = httpx.Client(base_url=driver, timeout=60)
        session = self._post("/session", {"capabilities": capabilities})
        self.path = f"/session/{session['sessionId']}"

    def _post(self, path, body):
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()["value"]

    def open(self, url):
        self._post(f"{self.path}/url", {"url": url})

    def run(self, script, *arguments):
        body = {"script": script, "args": list(arguments)}
        return self._post(f"{self.path}/execute/sync", body)

    def wait(self, script, seconds=20):
        deadline = time.monotonic() + seconds
        while not (value := self.run(f"return {script}")):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.05)
        return value

    def press(self, selector, keys):
        using = {"using": "css selector", "value": selector}
        element = self._post(f"{self.path}/element", using)
        identifier = next(iter(element.values()))
        self._post(f"{self.path}/element/{identifier}/value", {"text": keys})

    def show(self, *, width=1000, scheme="light"):
        """Sets the width of the page in pixels, and the user's colour scheme."""
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", features=media)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self._devtools("Emulation.setDeviceMetricsOverride", **size)

    def _devtools(self, command, **parameters):
        body = {"cmd": command, "params": parameters}
        return self._post(f"{self.path}/goog/cdp/execute", body)

    def screenshot(self, name):
        folder = os.environ.get("REJOINDER_SCREENSHOTS")
        if folder:
            png = self.http.get(f"{self.path}/screenshot").json()["value"]
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(png))

    def close(self):
        self.http.delete(self.path)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("needs chromium and chromedriver (apt install chromium chromium-driver)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/status")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        browser = Browser(url)
        yield browser
        browser.close()
    finally:
        driver.terminate()
        driver.wait()
