"""The state of a served model: its loaded versions and the state of every version."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.model_options import ModelOptions
from rejoinder.storage import FileState


@dataclass
class VersionState:
    """State of one version.

    Attributes:
        state: START, LOADING, AVAILABLE, UNLOADING or END, as TensorFlow Serving reports it.
        error: Why it could not be loaded; empty if it was not tried.
        waits_for: What is missing of a version whose files are still being copied.
        files: Its files at the last look.
        failed: Its files when loading it failed.
        retry_at: Monotonic time before which a bucket that could not be read is not tried again.
        retry_seconds: Time from that failure to the next attempt.
    """

    state: str = "START"
    error: str = ""
    waits_for: str = ""
    files: Mapping[str, FileState] | None = None
    failed: Mapping[str, FileState] | None = None
    retry_at: float = 0.0
    retry_seconds: float = 0.0


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
