"""What a publication to an object store writes down before it changes the output.

An object store cannot replace a folder at once. The next run of a command knows from the
journal which files an interrupted publication left, and may replace them.
"""

import json
from dataclasses import dataclass, field

from rejoinder import storage

NAME = "publication.json"


@dataclass(frozen=True)
class Journal:
    """An unfinished publication.

    Attributes:
        files: Names of the files that it may have left in the output.
    """

    files: frozenset[str] = field(default_factory=frozenset)

    def write(self, staging: str) -> None:
        """Writes the journal into a staging folder."""
        text = json.dumps({"files": sorted(self.files)})
        storage.write_bytes(storage.join(staging, NAME), text.encode())

    @classmethod
    def read(cls, staging: str) -> "Journal":
        """Reads the journal of a staging folder; it is empty if there is none."""
        path = storage.join(staging, NAME)
        if storage.is_local(staging) or not storage.exists(path):
            return cls()
        try:
            values = json.loads(storage.read_bytes(path))
            return cls(frozenset(values["files"]))
        except (ValueError, KeyError, TypeError):  # not written by this program
            return cls()
