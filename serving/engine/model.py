"""The state of a served model: its loaded versions and the state of every version."""

from dataclasses import dataclass, field

from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.model_options import ModelOptions


@dataclass
class VersionState:
    """State of one version, in TensorFlow Serving's terms."""

    state: str
    error: str = ""


@dataclass
class Model:
    """A served model.

    Attributes:
        options: Name, base folder, and which versions to serve.
        versions: Loaded versions by number.
        states: Every version seen so far.
    """

    options: ModelOptions
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    states: dict[int, VersionState] = field(default_factory=dict)

    @property
    def newest(self) -> ModelVersion:
        """The version for requests that name none; one version at least is always loaded."""
        return self.versions[max(self.versions)]
