"""Runs a script of `examples/` in this process, as `python examples/NAME ARGUMENTS` would."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def run_example(monkeypatch, capsys):
    def run(name: str, *arguments: object) -> str:
        path = str(EXAMPLES / name)
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory):
    from rejoinder.models.saved_model.testing import publish_tiny

    base = tmp_path_factory.mktemp("exports") / "tiny"
    publish_tiny(base)
    return base
