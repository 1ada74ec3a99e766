"""Start, version roll, and shutdown under load."""

import concurrent.futures
import dataclasses
import re
import shutil
import threading
import time

import httpx
import numpy as np
import pytest

from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import ExportManifest, hash_files
from rejoinder.models.saved_model.testing import publish_tiny
from rejoinder.serving.server import main

PREDICT = "/v1/models/tiny:predict"


def poster(server, until, failures, seen):
    with httpx.Client(base_url=server.url, timeout=20) as client:
        while not until.is_set():
            answer = client.post(PREDICT, json={"instances": ["hello"]})
            if answer.status_code == 200:
                seen.append(tuple(answer.json()["predictions"][0]["embedding"][:2]))
            else:
                failures.append(answer.text)


def test_a_version_roll_and_a_drain_under_load_lose_no_request(start, tmp_path, vectors):
    base = tmp_path / "tiny"
    publish_tiny(base, seed=0)
    running = start(base, "--poll-seconds", "0.1", "--drain-delay", "0.5")
    until, failures, seen = threading.Event(), [], []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        posters = [pool.submit(poster, running, until, failures, seen) for _ in range(8)]
        publish_tiny(base, seed=1)
        new = tuple(vectors(["hello"], seed=1)[0, :2].tolist())
        deadline = time.monotonic() + 30
        while not (seen and np.allclose(seen[-1], new)) and time.monotonic() < deadline:
            time.sleep(0.05)
        roll = httpx.get(running.url + "/v1/models/tiny").json()["model_version_status"]
        running.process.terminate()
        time.sleep(0.2)
        assert httpx.get(running.url + "/ready").status_code == 503
        assert httpx.get(running.url + "/health").status_code == 200
        until.set()
        for future in posters:
            future.result()
    assert failures == []
    assert {entry["version"]: entry["state"] for entry in roll}["2"] == "AVAILABLE"
    old = tuple(vectors(["hello"], seed=0)[0, :2].tolist())
    assert all(np.allclose(pair, old) or np.allclose(pair, new) for pair in seen)
    assert np.allclose(seen[0], old)
    assert np.allclose(seen[-1], new)
    assert running.process.wait(40) == 0  # without a second signal, which skips the drain


def write_broken_version(whole, broken):
    """Writes a copy of a version that is complete by its manifest and cannot be loaded."""
    shutil.copytree(whole, broken)
    (broken / "saved_model.pb").write_bytes(b"broken")
    (broken / "manifest.json").unlink()
    manifest = ExportManifest.read(whole)
    dataclasses.replace(manifest, files=hash_files(broken)).write(broken)


def test_half_written_and_broken_versions_are_never_served(start, tmp_path):
    base = tmp_path / "tiny"
    publish_tiny(base)
    (base / ".export-abc").mkdir()
    (base / ".export-abc/saved_model.pb").write_bytes(b"half")
    write_broken_version(base / "1", base / "7")
    (base / "8").mkdir()
    (base / "8/saved_model.pb").write_bytes(b"half")
    (base / "nine").mkdir()
    running = start(base, "--versions", "all", "--host", "0.0.0.0")
    assert "can be reached from other machines and no key is set" in running.log
    running.url = running.url.replace("0.0.0.0", "127.0.0.1")
    assert httpx.post(running.url + PREDICT, json={"instances": ["a"]}).is_success
    assert running.lines[1].startswith("device: ")
    assert "next: curl -d" in running.log
    statuses = httpx.get(running.url + "/v1/models/tiny").json()["model_version_status"]
    assert {s["version"]: (s["state"], s["status"]["error_code"]) for s in statuses} == {
        "1": ("AVAILABLE", "OK"),
        "7": ("END", "UNKNOWN"),
        "8": ("START", "OK"),
    }
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "tiny"], "write NAME=BASE"),
        (["--model", "../x={base}"], "write NAME=BASE"),
        (["--model", "tiny={base}", "--model", "tiny={base}"], "given twice"),
        (["--model", "tiny={tmp}/none"], "holds no version of model tiny"),
        (["--model", "tiny=hdfs://host/tiny"], "hdfs:// is not supported"),
        (["--model", "tiny={base}", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--model", "tiny={base}", "--versions", "x"], "give latest, a positive number, or all"),
        (["--model", "tiny={base}", "--label", "tiny:stable=9"], "there is no version 9"),
        (["--model", "tiny={base}", "--label", "other:stable=1"], "write NAME:LABEL=VERSION"),
        (["--model", "tiny={base}", "--max-items", "0"], "--max-items must be positive"),
        (["--model", "tiny={base}", "--workers", "0"], "--workers must be at least 1"),
        (["--model", "tiny={base}", "--api-key-file", "{tmp}/none"], "--api-key-file {tmp}/none: "),
    ],
)
def test_a_wrong_command_line_is_an_error_before_anything_loads(tmp_path, options, message):
    base = tmp_path / "tiny"
    (base / "1").mkdir(parents=True)
    filled = [option.format(tmp=tmp_path, base=base) for option in options]
    with pytest.raises(UserError, match=re.escape(message.replace("{tmp}", str(tmp_path)))):
        main(["--port", "0", *filled])
