"""Clients in a page of another origin, in headless Chromium."""

import functools
import html
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from rejoinder.serving.testing import start_server

pytestmark = pytest.mark.clients

FOLDER = Path(__file__).parent / "node"
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂"]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the page and the packages of Node."""

    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="module")
def origin():
    """The address of the page."""
    handler = functools.partial(QuietHandler, directory=FOLDER)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()


@pytest.fixture(scope="module")
def open_page(origin, tool, run_client):
    """Returns a function: the answer that the page shows for a server."""
    if not (FOLDER / "node_modules" / ".installed").exists():
        pytest.skip("needs the packages that `make test-clients` installs")
    chromium = [tool("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu"]

    def open_page(server, key=""):
        asked = {"url": server.url, "model": server.model, "key": key, "texts": json.dumps(TEXTS)}
        page = f"{origin}/browser.html?{urlencode(asked)}"
        dom = run_client([*chromium, "--virtual-time-budget=30000", "--dump-dom", page], server)
        return json.loads(html.unescape(re.search(r'<pre id="answer">(.*?)</pre>', dom)[1]))

    return open_page


def test_scripts_of_an_allowed_origin_receive_the_vectors(base, origin, open_page, check_vectors):
    allowing = start_server(base, "--cors-origin", origin, env={"REJOINDER_API_KEYS": "sesame"})
    uses = open_page(allowing, "sesame")
    assert set(uses) == {"plain", "openai"}, uses
    for vectors in uses.values():
        check_vectors(vectors, TEXTS)
    assert allowing.stop() == 0


def test_scripts_of_other_origins_receive_nothing(server, open_page):
    assert open_page(server) == {"error": "TypeError: Failed to fetch"}
