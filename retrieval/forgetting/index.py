"""Removes comments from a search index: the segments that hold one are built again."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from rejoinder import storage
from rejoinder.corpus.embeddings import MANIFEST
from rejoinder.errors import UserError
from rejoinder.output import check_output
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.publishing import Move, publish
from rejoinder.retrieval.forgetting.embeddings import field_of
from rejoinder.retrieval.forgetting.rows import Wanted, check_columns, find, without
from rejoinder.retrieval.index_files import (
    DESCRIPTION,
    INDEX,
    TEXTS,
    Description,
    read_description,
    require_local,
    segment_endings,
    segment_path,
)
from rejoinder.retrieval.segments import Segment, SegmentWriter
from rejoinder.staging import restore

FLAG = "--index"
_ROWS = 65_536


@dataclass(frozen=True)
class OldIndex:
    """A search index whose rows name their comments.

    Attributes:
        folder: Its resolved folder.
        description: What it was built from.
        field: The field that was embedded; None if it is not known.
    """

    folder: str
    description: Description
    field: str | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.description.segments)

    def count(self, names: Names) -> int:
        """Returns how many rows are to be removed."""
        return sum(int(wanted.removed.sum()) for _, _, wanted in self._find(names))

    def rewrite(self, names: Names, staging: str) -> None:
        """Publishes the index without the comments.

        Args:
            names: What to forget.
            staging: Its locked staging folder.

        Raises:
            UserError: A file is damaged, or the folder cannot be replaced. It stays as it was.
        """
        moves: dict[str, Move] = {}
        links: dict[str, str] = {}
        sizes: list[int] = []
        endings = segment_endings(self.description.dtype)
        for number, table, wanted in self._find(names):
            new = segment_path("", len(sizes))
            if not wanted.changes:
                old = segment_path("", number)
                links |= {new + ending: old + ending for ending in endings}
                sizes.append(table.num_rows)
            elif not wanted.removed.all():
                path = storage.join(staging, new)
                self._write_segment(number, path, table, wanted)
                for ending in endings:
                    moves[new + ending] = Move(path + ending, storage.size(path + ending))
                sizes.append(int((~wanted.removed).sum()))
        description = replace(self.description, segments=sizes)
        publish(
            self.folder,
            staging,
            INDEX,
            overwrite=True,
            moves=moves,
            documents={DESCRIPTION: json.dumps(asdict(description), indent=2).encode()},
            last=DESCRIPTION,
            links=links,
        )

    def _write_segment(self, number: int, path: str, table: pa.Table, wanted: Wanted) -> None:
        about = self.description
        segment = Segment(segment_path(self.folder, number), about.dimension, about.dtype)
        kept = np.flatnonzero(~wanted.removed)
        writer = SegmentWriter(path, about.dimension, table.schema, about.dtype)
        table = without(table, wanted)
        for start in range(0, len(kept), _ROWS):
            part = kept[start : start + _ROWS]
            writer.add(table.slice(start, len(part)), segment.stored(part))
        writer.close()

    def _find(self, names: Names) -> Iterator[tuple[int, pa.Table, Wanted]]:
        for number in range(len(self.description.segments)):
            path = segment_path(self.folder, number) + TEXTS
            try:
                table = pa.ipc.open_file(pa.memory_map(path)).read_all()
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{path}: is damaged ({error}); build the index again") from error
            yield number, table, find(table, self.field, names)


def open_index(folder: str, names: Names, inputs: list[tuple[str, str]]) -> OldIndex:
    """Opens an index and checks that its rows name their comments.

    Args:
        folder: The folder as the user wrote it.
        names: What to forget.
        inputs: (flag, path) of the files that the command reads.

    Raises:
        UserError: It cannot be changed here, or its rows do not name their comments.
    """
    require_local(folder)
    restore(folder)
    description = read_description(folder)
    if description is None:
        raise UserError(f"{FLAG} {folder}: holds no finished index of `rejoinder search`")
    path = check_output(folder, INDEX, overwrite=True, inputs=inputs, flag=FLAG)
    source = storage.join(description.source, MANIFEST)
    try:
        field = field_of(json.loads(storage.read_bytes(source)))
    except (UserError, OSError, ValueError, AttributeError):  # the source is a corpus, or gone
        field = None
    check_columns(f"{FLAG} {folder}", description.columns, field, names)
    return OldIndex(path, description, field)
