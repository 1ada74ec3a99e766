"""docs/clients.md: the versions are those of the locks, and the tests exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
HEADER = "| client | version | what is sent | what was met | test |"
# What the environments hold besides clients.
NO_CLIENTS = {"protobuf", "@langchain/core", "ai", "@redocly/cli", "jackson-databind"}


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


def go_and_java_versions():
    """(package, version) of what go.mod and the poms ask for, clients only."""
    module = (ROOT / "tests/clients/go/go.mod").read_text(encoding="utf-8")
    direct = re.findall(r"^\tgithub\.com/[^/]+/([^/ ]+)\S* v(\S+)$", module, re.M)
    poms = (ROOT / "tests/clients/java").glob("*/pom.xml")
    dependency = r"<dependency>.*<artifactId>(.*)</artifactId><version>(.*)</version></dependency>"
    found = [pair for pom in poms for pair in re.findall(dependency, pom.read_text("utf-8"))]
    return {*direct, *((name, version) for name, version in found if name not in NO_CLIENTS)}


def tool_versions():
    """(program, version) of the tools that the Makefile installs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    modules = re.search(r"^GO_TOOLS := ((?:.*\\\n)*.*)", makefile, re.M)[1]
    paths = re.findall(r"(\S+)@v(\S+)", modules)
    return {(re.sub(r"/v\d+$", "", path).rpartition("/")[2], version) for path, version in paths}


@pytest.mark.parametrize(
    ("title", "versions"),
    [("Go and Java", go_and_java_versions()), ("Tools", tool_versions())],
    ids=["go and java", "tools"],
)
def test_the_table_has_the_versions_that_are_built(title, versions):
    assert {row[:2] for row in rows(title) if row[1] != "any"} == versions


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
