"""The page in a real browser, driven over WebDriver: headless Chromium and httpx only."""

import base64
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (shutil.which("chromedriver") and shutil.which("chromium")),
        reason="needs chromium and chromedriver (apt install chromium chromium-driver)",
    ),
]


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

    def screenshot(self, name):
        folder = os.environ.get("REPARTEE_SCREENSHOTS")
        if folder:
            png = self.http.get(f"{self.path}/screenshot").json()["value"]
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(png))

    def close(self):
        self.http.delete(self.path)


@pytest.fixture(scope="module")
def browser():
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


RANK = "document.querySelector('button').click()"
DONE = "document.getElementById('status').textContent.includes('there and back')"
REPLIES = "[...document.querySelectorAll('.reply')].map((cell) => cell.textContent)"


def fill(browser, context, replies):
    browser.run("document.getElementById('context').value = arguments[0]", context)
    browser.run("document.getElementById('replies').value = arguments[0]", "\n".join(replies))


def test_replies_are_ranked_with_numbers_and_a_picture(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    browser.screenshot("page-empty")
    fill(browser, "red green blue", ["x y z", "red green blue", "", "red green q"])
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run(f"return {REPLIES}") == ["red green blue", "red green q", "x y z"]
    first = browser.run("return document.querySelector('#ranking tr').innerText")
    assert "1.000" in first
    assert first.split()[-1] == "5"
    assert browser.run("return document.querySelectorAll('#picture rect').length") == 16
    status = browser.run("return document.getElementById('status').textContent")
    assert status.startswith("4 texts, 20 tokens (context: 5)")
    browser.screenshot("page-ranked")


def test_text_is_shown_as_text(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    fill(browser, "a", ["<img src=x onerror=alert(1)>", "word " * 50])
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run("return document.querySelector('#ranking img')") is None
    assert "<img src=x onerror=alert(1)>" in browser.run(f"return {REPLIES}")
    assert browser.run("return document.querySelectorAll('.cut').length") == 1


def test_errors_are_told_aloud(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    fill(browser, "a", [f"reply {i}" for i in range(64)])
    browser.run(RANK)
    browser.wait("document.getElementById('status').className === 'error'")
    status = browser.run("return document.getElementById('status').textContent")
    assert status == "request has 65 items, the limit is 64; send several requests"
    assert browser.run("return document.getElementById('status').ariaLive") == "polite"


def test_the_page_works_from_the_keyboard_and_everything_has_a_name(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    browser.press("button", "\ue007")  # Enter
    browser.wait(DONE)
    unnamed = """return [...document.querySelectorAll('input, textarea, select')]
        .filter((field) => !field.labels.length).map((field) => field.id)"""
    assert browser.run(unnamed) == []
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return document.querySelectorAll('th:not([scope])').length") == 0


def test_a_key_opens_a_guarded_server(browser, start, tiny_base):
    guarded = start(tiny_base, env={"REPARTEE_API_KEYS": "sesame"})
    browser.open(guarded.url)
    browser.wait("document.getElementById('status').className === 'error'")
    browser.press("#key", "sesame")
    browser.run(RANK)
    browser.wait(DONE)
    browser.open(f"{guarded.url}/docs")
    browser.wait("document.querySelectorAll('section').length")
    assert browser.run("return document.querySelectorAll('section').length") == 9
    browser.screenshot("docs")
    assert guarded.stop() == 0
