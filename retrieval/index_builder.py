"""Builds an index, segment by segment."""

import json
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.errors import UserError
from rejoinder.output import check_output, check_replaceable
from rejoinder.publishing import Move, publish
from rejoinder.retrieval.dtypes import B1, DTYPES, F16
from rejoinder.retrieval.index_files import (
    DESCRIPTION,
    INDEX,
    Description,
    require_local,
    segment_files,
    segment_path,
)
from rejoinder.retrieval.segments import SegmentWriter
from rejoinder.staging import lock_staging

# Bytes of the stored vectors of one segment; building one takes a third more memory.
SEGMENT_BYTES = 512 << 20


def build(
    folder: str,
    batches: Iterable[tuple[pa.Table, NDArray[np.floating]]],
    *,
    model: str,
    source: str,
    dtype: str = F16,
    overwrite: bool = False,
    segment_bytes: int = SEGMENT_BYTES,
) -> Description:
    """Builds an index; one segment at a time is in memory.

    Args:
        folder: A local folder. It appears when the index is finished; until then an index
            that it holds stays.
        batches: Tables with the column `text`, and float embeddings [n, d] of unit length.
        model: The model that made the embeddings.
        source: The folder that the batches come from.
        dtype: Type of the graph's numbers, a key of `DTYPES`.
        overwrite: Whether an index in the folder is replaced.
        segment_bytes: Size of the vectors of a segment.

    Returns:
        The description of the index.

    Raises:
        UserError: The folder is not local or may not be replaced, there is no text, or the
            embeddings' dimension does not fit the dtype.
    """
    require_local(folder)
    output = check_output(folder, INDEX, overwrite=overwrite, flag="--index")
    with lock_staging(output) as staging:
        # Again, because `lock_staging` restores an index that an interrupted run had moved.
        check_replaceable(output, INDEX, overwrite=overwrite, flag="--index")
        dimension, columns, segments = _write_segments(staging, batches, dtype, segment_bytes)
        if not segments:
            raise UserError(f"{source}: holds no text to index")
        description = Description(model, source, dimension, segments, columns, dtype)
        names = segment_files(len(segments), dtype)
        publish(
            output,
            staging,
            INDEX,
            overwrite=overwrite,
            moves={name: _move(storage.join(staging, name)) for name in names},
            documents={DESCRIPTION: json.dumps(asdict(description), indent=2).encode()},
            last=DESCRIPTION,
        )
    return description


def _move(path: str) -> Move:
    return Move(path, storage.size(path))


def _write_segments(
    staging: str,
    batches: Iterable[tuple[pa.Table, NDArray[np.floating]]],
    dtype: str,
    segment_bytes: int,
) -> tuple[int, list[str], list[int]]:
    """Writes all segments; returns dimension, names of the columns and rows of each segment."""
    limit, segments = 0, list[int]()
    writer: SegmentWriter | None = None
    dimension, columns = 0, [TEXT]
    for texts, embeddings in batches:
        start = 0
        while start < len(embeddings):
            if writer is None:
                dimension, columns = embeddings.shape[1], texts.column_names
                if dtype == B1 and dimension % 8:
                    raise UserError(
                        f"--dtype b1: packs 8 numbers into a byte, and the embeddings have "
                        f"{dimension}; use --dtype i8"
                    )
                limit = max(1, segment_bytes // (dimension * DTYPES[dtype]))
                path = segment_path(staging, len(segments))
                writer = SegmentWriter(path, dimension, texts.schema, dtype)
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
    return dimension, columns, segments
