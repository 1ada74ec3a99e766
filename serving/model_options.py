"""Options of one served model."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ModelOptions:
    """Options of one served model.

    Attributes:
        name: Name of the model in requests.
        base: Local folder of its versions.
        keep: Number of newest versions to serve; None serves all.
        labels: Label → version number; a labelled version is always served.
    """

    name: str
    base: Path
    keep: int | None = 1
    labels: dict[str, int] = field(default_factory=dict)
