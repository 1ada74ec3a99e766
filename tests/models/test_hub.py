"""Uploading a model folder, to a server of this test that speaks the hub's protocol."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

PUSH = """
import sys
from pathlib import Path
from rejoinder.cli import run
from rejoinder.models.hub import make_repository, push_folder

def main():
    make_repository(sys.argv[2], private=True)
    print(push_folder(Path(sys.argv[1]), sys.argv[2]))

run(main)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Keeps the files of one commit in `server.files`."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        server.tokens.add(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            server.created = json.loads(body)
            if server.refuse:
                return self.answer({"error": "You don't have the rights"}, 403)
            return self.answer({"url": f"{server.address}/me/tiny", "id": "me/tiny"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    server.files[line["value"]["path"]] = content
            url = f"{server.address}/me/tiny/commit/abc"
            return self.answer({"commitUrl": url, "commitOid": "abc", "success": True})
        return self.answer({"error": f"unexpected {self.path}"}, 404)

    def do_GET(self):
        if self.server.refuse:
            return self.answer({"error": "You don't have the rights"}, 403)
        return self.answer({"id": "me/tiny", "sha": "0" * 40, "siblings": []})

    def answer(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status != 200:
            self.send_header("X-Error-Message", value["error"])
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.files, server.created, server.tokens, server.refuse = {}, None, set(), False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def push(folder, name, endpoint, home):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN": "hf_of_this_test",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(folder), name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_files_arrive_in_a_new_private_repository(hub, tmp_path):
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# tiny\n")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    done = push(folder, "me/tiny", hub.address, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{hub.address}/me/tiny/commit/abc\n"
    assert hub.created["visibility"] == "private"
    assert hub.files == {
        "README.md": (folder / "README.md").read_bytes(),
        "1_Pooling/config.json": b"{}",
    }
    assert hub.tokens == {"Bearer hf_of_this_test"}


def test_a_refusal_a_wrong_name_and_no_hub_are_one_line(hub, tmp_path):
    hub.refuse = True
    for name, endpoint, message in (
        ("me/tiny", hub.address, "You don't have the rights"),
        ("a b", hub.address, "Repo id must"),
        ("me/tiny", "http://127.0.0.1:1", "the hub did not take it"),
    ):
        done = push(tmp_path, name, endpoint, tmp_path / "home")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"error: --push-to-hub {name}: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert hub.files == {}
