"""Reads every import of the product and compares it with the table in CONTRIBUTING.md."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

import rejoinder
from rejoinder.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parts[-2] != "rejoinder"
)
BASE = "base"
# The public API and the command: they may import any package, but only inside functions.
PUBLIC_API = {"rejoinder", "rejoinder.commands"}
SUBCOMMANDS = {command.module for command in COMMANDS.values()}


class Import(NamedTuple):
    """One import statement: where it is, what it imports, and whether it runs on import."""

    module: str
    line: int
    target: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """Returns the import name of a file of the product: trainer/run.py is rejoinder.trainer.run."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "rejoinder" else ("rejoinder", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def product_files() -> list[Path]:
    """Returns every Python file that the wheel ships."""
    # Path.rglob does not follow the links of rejoinder/ into the packages.
    return sorted(path for folder in ("rejoinder", *PACKAGES) for path in real_files(ROOT / folder))


def real_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if path.resolve() == path]


def imports_of(source: str, module: str) -> list[Import]:
    """Returns all imports of a source file; those in functions or TYPE_CHECKING are lazy."""
    found = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, node.lineno, alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} is a relative import"
            found.extend(
                Import(module, node.lineno, f"{node.module}.{alias.name}", lazy)
                for alias in node.names
            )
        type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, lazy or function or type_checking)

    visit(ast.parse(source), lazy=False)
    return found


def package_of(name: str) -> str | None:
    """Returns the package of a dotted name: one of PACKAGES, BASE, or None outside rejoinder."""
    first, _, rest = name.partition(".")
    if first != "rejoinder":
        return None
    second = rest.partition(".")[0]
    # `from rejoinder import Encoder` is an import from the package that defines Encoder.
    if second in rejoinder._HOMES:
        return package_of(rejoinder._HOMES[second])
    return second if second in PACKAGES else BASE


def allowed_imports() -> dict[str, set[str]]:
    """Reads the table `| package | may import |` of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.search(r"^\| *package *\| *may import *\|\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.M)
    assert table, "CONTRIBUTING.md has no table `| package | may import |`"
    rows = (line.strip("|\n").split("|")[:2] for line in table[1].splitlines())
    return {
        package.strip(" `/"): {name.strip(" `/") for name in names.split(",")} - {""}
        for package, names in rows
    }


def every_import() -> list[Import]:
    return [
        found
        for path in product_files()
        for found in imports_of(path.read_text(encoding="utf-8"), module_name(path))
    ]


def violations(imports: list[Import], allowed: dict[str, set[str]]) -> list[str]:
    """Returns the imports that the table does not allow, one line each."""
    found = []
    for statement in imports:
        source, target = package_of(statement.module), package_of(statement.target)
        if target in (None, source, BASE) or target in allowed.get(source or "", set()):
            continue
        may_import_all = statement.module in PUBLIC_API | SUBCOMMANDS
        if not (may_import_all and statement.lazy):
            found.append(str(statement))
    return found


def test_the_table_names_every_package_and_has_no_cycle():
    allowed = allowed_imports()
    assert sorted(set(allowed) - {BASE}) == PACKAGES
    assert {name for names in allowed.values() for name in names} <= {*PACKAGES, BASE}
    graphlib.TopologicalSorter(allowed).prepare()  # raises CycleError


def test_no_file_imports_what_the_table_does_not_allow():
    assert violations(every_import(), allowed_imports()) == []


def module_of(name: str, modules: set[str]) -> str | None:
    """Returns the module that a dotted name is in: `a.b.NAME` is in `a.b`."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def test_the_packages_import_each_other_without_cycles():
    graph = defaultdict(set)
    for statement in every_import():
        source, target = package_of(statement.module), package_of(statement.target)
        if target not in (None, source) and not statement.lazy:
            graph[source].add(target)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_modules_import_each_other_without_cycles():
    modules = {module_name(path) for path in product_files()}
    graph = defaultdict(set)
    for statement in every_import():
        target = module_of(statement.target, modules)
        if target not in (None, statement.module) and not statement.lazy:
            graph[statement.module].add(target)
    assert len(graph) > len(PACKAGES)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("rejoinder.trainer.run", "from rejoinder.models import packing", []),
        (
            "rejoinder.trainer.run",
            "def f():\n    import rejoinder.pipelines.job",
            ["rejoinder.trainer.run:2 imports rejoinder.pipelines.job"],
        ),
        (
            "rejoinder.storage",
            "from rejoinder import Encoder",
            ["rejoinder.storage:1 imports rejoinder.Encoder"],
        ),
        (
            "rejoinder.trainer.train",
            "from rejoinder.evaluation import ranking",
            ["rejoinder.trainer.train:1 imports rejoinder.evaluation.ranking"],
        ),
        ("rejoinder.trainer.train", "def f():\n    from rejoinder.evaluation import ranking", []),
        ("rejoinder.corpus.naming", "import os\nfrom rejoinder import storage", []),
    ],
)
def test_an_import_that_the_table_does_not_allow_is_found(module, source, expected):
    allowed = {"corpus": {BASE}, "models": {BASE}, "pipelines": {BASE}, "trainer": {BASE, "models"}}
    assert violations(imports_of(source, module), allowed) == expected


def test_a_package_is_not_importable_by_its_folder_s_name():
    program = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"import rejoinder.{name}, not {name}" for name in PACKAGES]
