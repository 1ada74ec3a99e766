"""Imports inside `serving` go one way: base, engine, service, apis, http, server."""

import ast
from pathlib import Path

import pytest

SERVING = Path(__file__).parents[2] / "serving"
LAYERS = ["base", "engine", "service", "apis", "http", "server"]
SERVER_FILES = {"server.py": "server", "service.py": "service"}
MODULES = sorted(SERVING.rglob("*.py"))


def layer(path):
    """Returns the layer of a file, given relative to `serving/`."""
    if path.parent.name:
        return path.parts[0]
    return SERVER_FILES.get(path.name, "base")


def imported(path):
    """Yields the files of `serving` that a module imports, relative to `serving/`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rejoinder.serving"):
            module = Path(*node.module.split(".")[2:])
            for name in [".", *(alias.name for alias in node.names)]:
                file = (module / name).with_suffix(".py") if name != "." else f"{module}.py"
                if (SERVING / file).is_file():
                    yield Path(file)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SERVING)))
def test_a_module_imports_only_its_own_layer_and_earlier_ones(path):
    own = LAYERS.index(layer(path.relative_to(SERVING)))
    later = [str(file) for file in imported(path) if LAYERS.index(layer(file)) > own]
    assert later == []


def test_the_imports_are_found():
    found = {str(file) for path in MODULES for file in imported(path)}
    assert {"engine/predict.py", "apis/rest.py", "http/app.py", "limits.py", "options.py"} <= found
