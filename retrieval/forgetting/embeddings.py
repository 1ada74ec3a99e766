"""Removes comments from an embeddings folder."""

import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.embeddings import EMBEDDINGS, MANIFEST, write_table
from rejoinder.errors import UserError
from rejoinder.output import check_output
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.publishing import Move, publish
from rejoinder.retrieval.forgetting.rows import Wanted, check_columns, find, without
from rejoinder.staging import restore

FLAG = "--embeddings"


@dataclass(frozen=True)
class OldEmbeddings:
    """An embeddings folder whose rows name their comments.

    Attributes:
        folder: Its resolved folder.
        values: Its manifest.
    """

    folder: str
    values: dict[str, Any]

    @property
    def field(self) -> str | None:
        """The field that was embedded."""
        return field_of(self.values)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.values["rows"])

    def count(self, names: Names) -> int:
        """Returns how many rows are to be removed."""
        return sum(int(self._find(shard, names)[1].removed.sum()) for shard in self._shards())

    def rewrite(self, names: Names, staging: str) -> None:
        """Publishes the folder without the comments.

        Args:
            names: What to forget.
            staging: Its locked staging folder.

        Raises:
            UserError: A file is damaged, or the folder cannot be replaced. It stays as it was.
        """
        moves: dict[str, Move] = {}
        links, entries = {}, []
        for shard in self._shards():
            name = shard["name"]
            table, wanted = self._find(shard, names)
            if not wanted.changes:
                links[name] = name
                entries.append(shard)
                continue
            table = without(table, wanted)
            if not table.num_rows:
                continue  # a shard without rows has no file
            buffer = io.BytesIO()
            write_table(table, buffer)
            data = buffer.getvalue()
            path = storage.join(staging, name)
            storage.write_bytes(path, data)
            moves[name] = Move(path, len(data))
            entry = {"rows": table.num_rows, "bytes": len(data), "sha256": checksums.sha256(data)}
            entries.append({"name": name} | entry)
        total = sum(entry["rows"] for entry in entries)
        values = self.values | {"shards": entries, "rows": total}
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        publish(
            self.folder,
            staging,
            EMBEDDINGS,
            overwrite=True,
            moves=moves,
            documents={MANIFEST: text.encode()},
            last=MANIFEST,
            links=links,
        )

    def _shards(self) -> list[dict[str, Any]]:
        return list(self.values["shards"])

    def _find(self, shard: dict[str, Any], names: Names) -> tuple[pa.Table, Wanted]:
        path = storage.join(self.folder, shard["name"])
        try:
            data = storage.read_bytes(path)
            table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: is damaged ({error}); embed the texts again") from error
        return table, find(table, self.field, names)


def field_of(values: dict[str, Any]) -> str | None:
    """Returns the field that was embedded, by the manifest of an embeddings folder."""
    return values.get("spec", {}).get("read", {}).get("field")


def open_embeddings(folder: str, names: Names, inputs: list[tuple[str, str]]) -> OldEmbeddings:
    """Opens an embeddings folder and checks that its rows name their comments.

    Args:
        folder: The folder as the user wrote it.
        names: What to forget.
        inputs: (flag, path) of the files that the command reads.

    Raises:
        UserError: It cannot be changed here, or its rows do not name their comments.
    """
    if not storage.is_local(folder):
        raise UserError(f"{FLAG} {folder}: forget needs a local folder; copy it, and back again")
    restore(folder)
    if EMBEDDINGS.listed(folder) is None:
        raise UserError(f"{FLAG} {folder}: holds no finished embeddings of `rejoinder embed`")
    path = check_output(folder, EMBEDDINGS, overwrite=True, inputs=inputs, flag=FLAG)
    values: dict[str, Any] = json.loads(storage.read_bytes(storage.join(path, MANIFEST)))
    for shard in values["shards"]:
        file = storage.join(path, shard["name"])
        try:
            columns = pq.read_schema(io.BytesIO(storage.read_bytes(file))).names
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{file}: is damaged ({error}); embed the texts again") from error
        check_columns(f"{FLAG} {folder}", columns, field_of(values), names)
    return OldEmbeddings(path, values)
