"""The served OpenAPI description passes Redocly's linter without an error or a warning."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.limits import Limits

pytestmark = pytest.mark.clients

LINTER = Path(__file__).parent / "node" / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"


def test_redocly_finds_nothing(server, tool, tmp_path):
    if not LINTER.exists():
        pytest.skip("needs the packages that `make test-clients` installs")
    served = tmp_path / "served.json"
    served.write_bytes(httpx.get(f"{server.url}/openapi.json").content)
    guarded = tmp_path / "guarded.json"
    guarded.write_text(json.dumps(describe(Limits(), guarded=True)))
    environment = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    for file in (served, guarded):
        found = subprocess.run(
            [tool("node"), LINTER, "lint", file, "--format=json"],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=60,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        totals = json.loads(found.stdout)["totals"]
        assert totals == {"errors": 0, "warnings": 0, "ignored": 0}
