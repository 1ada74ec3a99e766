"""docs/clients.md: the versions are those of the locks, and the tests exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
HEADER = "| client | version | what is sent | what was met | test |"
# What the environments hold besides clients.
NO_CLIENTS = {"protobuf", "@langchain/core", "ai", "@redocly/cli"}


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def rows(title):
    """The first package, the version and the test of each row of a section's table."""
    _, table = section(title).split(HEADER)
    for line in table.strip().splitlines()[1:]:
        client, version, _, _, test = (cell.strip() for cell in line.strip("|").split(" | "))
        yield re.match(r"`([^`]+)`", client)[1], version, test.strip(" `")


def python_versions():
    """{package: version} of what the locks of the Python clients were asked for."""
    asked, locked = [], {}
    for path in (ROOT / "requirements").glob("clients*.in"):
        asked += re.findall(r"^[a-z][a-z-]*", path.read_text(encoding="utf-8"), re.M)
        lock = path.with_suffix(".txt").read_text(encoding="utf-8")
        locked |= dict(re.findall(r"^([a-z][\w-]*)==(\S+)", lock, re.M))
    return {name: locked[name] for name in asked}


def node_versions():
    """{package: version} of what the lock of the Node clients was asked for."""
    lock = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text(encoding="utf-8"))
    packages = lock["packages"]
    return {
        name: packages[f"node_modules/{name}"]["version"] for name in packages[""]["dependencies"]
    }


@pytest.mark.parametrize(
    ("title", "versions"),
    [("Python", python_versions()), ("Node and browsers", node_versions())],
    ids=["python", "node"],
)
def test_the_table_has_every_client_in_the_version_of_its_lock(title, versions):
    written = {client: version for client, version, _ in rows(title) if version != "any"}
    assert written == {name: versions[name] for name in versions if name not in NO_CLIENTS}


@pytest.mark.parametrize("title", re.findall(r"^## (.*)", PAGE, re.M))
def test_the_test_of_a_client_exists(title):
    for client, _, test in rows(title):
        assert (ROOT / test.split()[0].strip("`")).exists(), client
