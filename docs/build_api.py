"""Writes one HTML page per module of `rejoinder` from the docstrings, for `make docs`.

A warning of this project or of pdoc is an error: a module that cannot be imported,
a name in `__all__` that does not exist, an annotation that cannot be evaluated.
Warnings of other packages, such as deprecation notices on import, are ignored.
"""

import argparse
import os
import pkgutil
import sys
import warnings
from pathlib import Path
from types import ModuleType

import rejoinder


def build(output: Path) -> int:
    """Writes the pages.

    Args:
        output: Folder for the pages; created if missing.

    Returns:
        The number of modules that have a page.

    Raises:
        UserWarning: A module cannot be imported, or a page cannot be rendered from it.
        RuntimeError: A module has no page.
    """
    import pdoc.render

    modules = [
        module.name
        for module in pkgutil.walk_packages(rejoinder.__path__, "rejoinder.", _fail)
        if not module.name.endswith("__main__")
    ]
    for package in {module.rpartition(".")[0] for module in modules}:
        _resolve_lazy_names(sys.modules[package])
    for module in modules:
        _list_in_all(module)
    pdoc.render.configure(docformat="google")
    pdoc.pdoc("rejoinder", output_directory=output)
    pages = {
        ".".join(page.relative_to(output).with_suffix("").parts) for page in output.rglob("*.html")
    }
    if missing := set(modules) - pages:
        raise RuntimeError(f"no page for {', '.join(sorted(missing))}")
    return len(modules)


def _fail(package: str) -> None:
    raise RuntimeError(f"cannot import {package}") from sys.exception()


def _resolve_lazy_names(package: ModuleType) -> None:
    """Stores the names of `__all__` in the package's dictionary, the only place pdoc looks in."""
    for name in getattr(package, "__all__", []):
        setattr(package, name, getattr(package, name))


def _list_in_all(module: str) -> None:
    """Adds a module to its package's `__all__`: pdoc leaves out what that does not name."""
    package, _, name = module.rpartition(".")
    names = getattr(sys.modules[package], "__all__", None)
    if names is not None:
        names.append(name)


def main() -> None:
    """Parses the command line and builds the pages."""
    parser = argparse.ArgumentParser(description="Build the API pages from the docstrings.")
    parser.add_argument("--output", type=Path, default=Path("build/docs"), metavar="FOLDER")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", module=r"(rejoinder|pdoc)(\.|$)")
    pages = build(arguments.output)
    print(f"wrote {pages} pages to {arguments.output}; open {arguments.output / 'index.html'}")


if __name__ == "__main__":
    main()
