"""Builds an index, segment by segment."""

import glob
import json
import os
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.errors import UserError
from rejoinder.retrieval.index_files import DESCRIPTION, Description, require_local, segment_path
from rejoinder.retrieval.segments import TEXTS, VECTORS, SegmentWriter

# Bytes of the stored vectors of one segment; building one takes a third more memory.
SEGMENT_BYTES = 512 << 20
_BYTES_PER_NUMBER = 2


def build(
    folder: str,
    batches: Iterable[tuple[pa.Table, NDArray[np.floating]]],
    *,
    model: str,
    source: str,
    segment_bytes: int = SEGMENT_BYTES,
) -> Description:
    """Builds an index; one segment at a time is in memory.

    Args:
        folder: A local folder, created if missing; an index in it is replaced.
        batches: Tables with the column `text`, and float embeddings [n, d] of unit length.
        model: The model that made the embeddings.
        source: The folder that the batches come from.
        segment_bytes: Size of the vectors of a segment.

    Returns:
        The description of the index.

    Raises:
        UserError: The folder is not local, or there is no text.
    """
    require_local(folder)
    storage.make_folder(folder)
    _delete_index(folder)
    limit, segments = 0, list[int]()
    writer: SegmentWriter | None = None
    dimension, columns = 0, [TEXT]
    for texts, embeddings in batches:
        start = 0
        while start < len(embeddings):
            if writer is None:
                dimension, columns = embeddings.shape[1], texts.column_names
                limit = max(1, segment_bytes // (dimension * _BYTES_PER_NUMBER))
                path = segment_path(folder, len(segments))
                writer = SegmentWriter(path, dimension, texts.schema)
            stop = min(start + limit - writer.rows, len(embeddings))
            writer.add(texts.slice(start, stop - start), embeddings[start:stop])
            start = stop
            if writer.rows >= limit:
                writer.close()
                segments.append(writer.rows)
                writer = None
    if writer is not None:
        writer.close()
        segments.append(writer.rows)
    if not segments:
        raise UserError(f"{source}: holds no text to index")
    description = Description(model, source, dimension, segments, columns)
    path = storage.join(folder, DESCRIPTION)
    storage.write_bytes(path + ".part", json.dumps(asdict(description), indent=2).encode())
    storage.rename(path + ".part", path)
    return description


def _delete_index(folder: str) -> None:
    # The description first: without it, what is left of a killed run is not an index.
    storage.delete([storage.join(folder, DESCRIPTION)])
    paths = glob.glob(os.path.join(glob.escape(folder), "segment-*"))
    storage.delete([path for path in paths if path.endswith((VECTORS, TEXTS))])
