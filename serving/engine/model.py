"""A served model: where its versions lie, and which of them answer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loading needs TensorFlow; the command line does not
    from rejoinder.serving.engine.model_version import LoadedVersion


@dataclass
class VersionState:
    """State of one version, in TensorFlow Serving's terms."""

    state: str
    error: str = ""


@dataclass
class Model:
    """A served model.

    Attributes:
        name: Its name in requests.
        base: Folder of versions.
        keep: How many of the newest versions answer; None: all.
        labels: Label → version number.
        loaded: Versions that answer.
        states: Every version ever seen.
    """

    name: str
    base: Path
    keep: int | None = 1
    labels: dict[str, int] = field(default_factory=dict)
    loaded: dict[int, "LoadedVersion"] = field(default_factory=dict)
    states: dict[int, VersionState] = field(default_factory=dict)

    @property
    def newest(self) -> "LoadedVersion":
        """The version that answers when none is named; at least one is always loaded."""
        return self.loaded[max(self.loaded)]
