"""Options of one served model."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelOptions:
    """Options of one served model.

    Attributes:
        name: Name of the model in requests.
        base: Folder of its versions, on any file system of `rejoinder.storage`.
        keep: Number of newest versions to serve; None serves all.
        labels: Label → version number; a labelled version is always served.
        cache: Local folder for copies of versions in a bucket.
    """

    name: str
    base: str
    keep: int | None = 1
    labels: dict[str, int] = field(default_factory=dict)
    cache: str = ""
