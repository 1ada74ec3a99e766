"""The Beam job of `rejoinder embed`: parts to batches, RunInference, one Parquet file per batch."""

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.embeddings import (
    BINARY,
    EMBEDDING,
    EMBEDDINGS,
    MANIFEST,
    TEXT,
    EmbeddingShard,
    embedding_column,
    manifest_text,
    write_table,
)
from rejoinder.errors import UserError
from rejoinder.models.quantize import quantize
from rejoinder.models.similarity import scale_to_unit_length
from rejoinder.output import staging_folder
from rejoinder.pipelines.job import records
from rejoinder.publishing import Move, publish
from rejoinder.retrieval.text_readers import read_batches
from rejoinder.retrieval.texts import ReadOptions, TextBatch, TextPart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rejoinder.models.encoder import Encoder


@dataclass(frozen=True)
class EmbedSpec:
    """The options of a job.

    Attributes:
        model: Any argument of `rejoinder.Encoder.load`; every worker can read it.
        output: The embeddings folder, resolved.
        overwrite: Whether finished embeddings may be replaced.
        read: Which values of each row are read.
        precision: Precision of the computation, "float32" or "bfloat16".
        dtype: Type of the stored numbers, a key of `rejoinder.corpus.embeddings.DTYPES`.
    """

    model: str
    output: str
    overwrite: bool
    read: ReadOptions
    precision: str = "float32"
    dtype: str = "float32"


class EncoderHandler(ModelHandler[TextBatch, TextBatch, "Encoder"]):
    """Lets RunInference use an `Encoder`, loaded once in each worker process."""

    def __init__(self, spec: EmbedSpec, *, resumable: bool):
        super().__init__()
        self._model = spec.model
        self._precision = spec.precision
        self._dtype = spec.dtype
        self._staging = staging_folder(spec.output) if resumable else None

    def load_model(self) -> "Encoder":
        """Loads the encoder."""
        from rejoinder.models.device import use_first_gpu
        from rejoinder.models.encoder import Encoder

        use_first_gpu()
        return Encoder.load(self._model, precision=self._precision)

    def run_inference(
        self,
        batch: Sequence[TextBatch],
        model: "Encoder",
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[TextBatch]:
        """Adds the column `embedding`, except to the batches of an earlier run's shards."""
        for one in batch:
            # A batch without rows had only bad lines: their number is still counted.
            if not one.table.num_rows or self._is_finished(one.shard):
                yield one
                continue
            started = time.monotonic()
            embeddings = model.encode(one.table[TEXT].to_pylist())
            column = embedding_column(_stored(embeddings, self._dtype), self._dtype)
            table = one.table.append_column(EMBEDDING, column)
            yield TextBatch(one.shard, table, one.bad_rows, time.monotonic() - started)

    def _is_finished(self, shard: str) -> bool:
        staging = self._staging
        return staging is not None and records.read_intact(staging, shard) is not None

    def get_num_bytes(self, batch: Sequence[TextBatch]) -> int:
        """Returns the texts' size in bytes, for Beam's metrics."""
        return sum(one.table.nbytes for one in batch)


def _stored(embeddings: "NDArray[np.floating]", dtype: str) -> "NDArray[Any]":
    """Returns embeddings float32 [n, d] in the numbers that a shard stores."""
    if dtype not in ("int8", BINARY):
        return embeddings.astype(dtype)
    if dtype == BINARY and embeddings.shape[1] % 8:
        raise UserError(
            f"--dtype binary: packs 8 numbers into a byte, and the model's embeddings have "
            f"{embeddings.shape[1]}; use --dtype int8"
        )
    # Not every model gives unit length.
    return quantize(scale_to_unit_length(embeddings), "ubinary" if dtype == BINARY else dtype)


def build(
    pipeline: beam.Pipeline, parts: Sequence[TextPart], spec: EmbedSpec, *, resumable: bool
) -> None:
    """Adds the job's steps to an empty pipeline; the manifest is written after all shards.

    Args:
        pipeline: An empty pipeline.
        parts: What to read.
        spec: The options of the job.
        resumable: Whether all workers share the local disk of the staging folder, where
            records of finished shards are then kept.
    """
    handler = EncoderHandler(spec, resumable=resumable)
    _ = (
        pipeline
        | "Parts" >> beam.Create(parts)
        # Without it a runner may give all files to the worker that listed them.
        | "Distribute" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read_batches, spec.read)
        | "WrapBatch" >> beam.Map(lambda batch: [batch])
        | "Embed" >> RunInference(handler.with_no_batching())
        | "WriteShard" >> beam.Map(write_shard, staging_folder(spec.output), resumable=resumable)
        | "CollectShards" >> beam.combiners.ToList()
        | "Publish" >> beam.Map(publish_shards, spec, resumable=resumable)
    )


def write_shard(batch: TextBatch, staging: str, *, resumable: bool) -> EmbeddingShard:
    """Stages one Parquet file, unless it would be empty or an earlier run staged it.

    Args:
        batch: The rows, without the column `embedding` if an earlier run staged the file.
        staging: The staging folder.
        resumable: Whether to keep a record of the file.

    Returns:
        The file's entry for the manifest.
    """
    name, size, sha256 = f"{batch.shard}.parquet", 0, ""
    if batch.table.num_rows and EMBEDDING not in batch.table.column_names:
        record = records.read(staging, batch.shard)
        assert record is not None
        return EmbeddingShard(*record.result)
    if batch.table.num_rows:
        buffer = io.BytesIO()
        write_table(batch.table, buffer)
        size, sha256 = buffer.tell(), checksums.sha256(buffer.getvalue())
        storage.write_bytes(storage.join(staging, name), buffer.getvalue())
    shard = EmbeddingShard(name, batch.table.num_rows, batch.bad_rows, size, sha256)
    if resumable and size:
        files = {name: sha256}
        records.write(staging, batch.shard, records.Record(batch.seconds, files, list(shard)))
    return shard


def publish_shards(shards: Sequence[EmbeddingShard], spec: EmbedSpec, *, resumable: bool) -> None:
    """Makes the embeddings folder of the staged files appear.

    Args:
        shards: All shards of the job, in any order.
        spec: The options of the job.
        resumable: Whether the staging folder identifies a run that could be continued.

    Raises:
        UserError: There is no text, a staged file is missing, the output may not be replaced,
            or the file system failed.
    """
    if not any(shard.rows for shard in shards):
        raise UserError(f"{spec.output}: no row has a text {spec.read.field!r}; see --field")
    staging, options = staging_folder(spec.output), asdict(spec)
    overwrite = options.pop("overwrite")
    publish(
        spec.output,
        staging,
        EMBEDDINGS,
        overwrite=overwrite,
        moves={
            shard.name: Move(storage.join(staging, shard.name), shard.bytes)
            for shard in shards
            if shard.rows
        },
        documents={MANIFEST: manifest_text(shards, options).encode()},
        last=MANIFEST,
    )
    if resumable:
        records.end(staging)
