"""Checks that the workers run the submitter's versions, as a step arrives at a worker."""

import platform
from typing import Any

from rejoinder import extras
from rejoinder.errors import UserError
from rejoinder.versions import installed_version


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _package() -> str:
    return installed_version("rejoinder") or "from source"


class SameVersions:
    """Lets a pickled step be loaded only by the Python minor release and package that made it.

    Another release may fail anywhere in a step, with an error that does not name the reason,
    or write other bytes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how to rebuild the step; the check is the first thing that is loaded."""
        return _rebuild, (_Submitter(_python(), _package()), type(self), self.__dict__)


class _Submitter:
    """The versions of the process that made a pickle."""

    def __init__(self, python: str, package: str) -> None:
        self.python, self.package = python, package

    def __reduce__(self) -> tuple[Any, ...]:
        return check, (self.python, self.package)


def check(python: str, package: str) -> None:
    """Compares the submitter's versions with those of this process, and looks for its packages.

    Raises:
        UserError: They differ, or a package of the pipeline is missing: the last step of a job
            draws figures with Matplotlib.
    """
    here = (_python(), _package())
    if here != (python, package):
        raise UserError(
            f"this worker has Python {here[0]} and rejoinder {here[1]}, the job was submitted "
            f"with Python {python} and rejoinder {package}; give the workers the same versions, "
            "with an image built from the submitter's checkout"
        )
    extras.check_installed("pipeline", "this worker")


def _rebuild(checked: None, cls: type, state: dict[str, Any]) -> Any:
    step: Any = object.__new__(cls)
    step.__dict__.update(state)
    return step
