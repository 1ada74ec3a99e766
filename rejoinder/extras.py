"""Extras of the distribution: which packages a command needs, and what to install for them.

`pip install rejoinder` brings what `rejoinder.Encoder` needs. A package that is missing is found
before a command begins: some are used only at the end of a job of hours, such as Matplotlib.
"""

import importlib.util

from rejoinder.errors import UserError

# What each extra of pyproject.toml brings, by the names that are imported.
_READ_CORPUS = ("google_crc32c", "pyarrow")
MODULES: dict[str, tuple[str, ...]] = {
    "pipeline": (
        *("apache_beam", "transformers", "polars", "zstandard", "matplotlib", "gcsfs"),
        *_READ_CORPUS,
    ),
    "train": (
        *("official", "pkg_resources", "sklearn", "scipy", "bm25s", "matplotlib", "gcsfs"),
        *_READ_CORPUS,
    ),
    "search": ("sklearn", "usearch", *_READ_CORPUS),
    "serve": (
        *("starlette", "uvicorn", "httptools", "orjson", "prometheus_client", "grpc"),
        *("tensorflow_serving", "psutil"),
    ),
    "openvino": ("openvino", "nncf"),
    "telemetry": ("opentelemetry.exporter.otlp.proto.http",),
}


def check_installed(extra: str, user: str, *, module: str | None = None) -> None:
    """Checks that the packages of an extra are installed, without importing them.

    Args:
        extra: A name in `MODULES`; `all` is all of them; empty is none.
        user: What needs the extra, with which the message begins.
        module: The only module of the extra that is needed; all by default.

    Raises:
        UserError: A package is missing. The message names the extra.
    """
    names = MODULES if extra == "all" else filter(None, [extra])
    modules = dict.fromkeys(each for name in names for each in MODULES[name])
    missing = [each for each in modules if module in (None, each) and not _is_found(each)]
    if missing:
        packages = "the packages" if len(missing) > 1 else "the package"
        verb = "are" if len(missing) > 1 else "is"
        raise UserError(
            f"{user}: {packages} {', '.join(missing)} {verb} not installed; "
            f"pip install 'rejoinder[{extra}]'"
        )


def _is_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it is in is missing
        return False
    except ValueError:  # `sys.modules` holds it without a spec
        return True
