"""The Beam job of `rejoinder embed`: parts to batches, RunInference, one Parquet file per batch."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import ModelHandler, RunInference

from rejoinder import storage
from rejoinder.corpus.embeddings import (
    EMBEDDING,
    EMBEDDINGS,
    MANIFEST,
    TEXT,
    EmbeddingShard,
    manifest_text,
)
from rejoinder.errors import UserError
from rejoinder.output import staging_folder
from rejoinder.publishing import Move, publish
from rejoinder.retrieval.text_readers import read_batches
from rejoinder.retrieval.texts import ReadOptions, TextBatch, TextPart

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder

_ARROW_TYPES = {"float32": pa.float32(), "float16": pa.float16()}


@dataclass(frozen=True)
class EmbedSpec:
    """The options of a job.

    Attributes:
        model: Any argument of `rejoinder.Encoder.load`; every worker can read it.
        output: The embeddings folder, resolved.
        overwrite: Whether finished embeddings may be replaced.
        read: Which values of each row are read.
        precision: Precision of the computation, "float32" or "bfloat16".
        dtype: Type of the stored numbers, "float32" or "float16".
    """

    model: str
    output: str
    overwrite: bool
    read: ReadOptions
    precision: str = "float32"
    dtype: str = "float32"


class EncoderHandler(ModelHandler[TextBatch, TextBatch, "Encoder"]):
    """Lets RunInference use an `Encoder`, loaded once in each worker process."""

    def __init__(self, model: str, precision: str, dtype: str):
        super().__init__()
        self._model = model
        self._precision = precision
        self._dtype = dtype

    def load_model(self) -> "Encoder":
        """Loads the encoder."""
        from rejoinder.models.encoder import Encoder

        return Encoder.load(self._model, precision=self._precision)

    def run_inference(
        self,
        batch: Sequence[TextBatch],
        model: "Encoder",
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[TextBatch]:
        """Adds the column `embedding`, rows in the order of the texts."""
        for one in batch:
            if not one.table.num_rows:  # all its lines were bad: their number is still counted
                yield one
                continue
            embeddings = model.encode(one.table[TEXT].to_pylist()).astype(self._dtype)
            column = pa.FixedSizeListArray.from_arrays(
                pa.array(embeddings.ravel(), _ARROW_TYPES[self._dtype]), embeddings.shape[1]
            )
            table = one.table.append_column(EMBEDDING, column)
            yield TextBatch(one.shard, table, one.bad_rows)

    def get_num_bytes(self, batch: Sequence[TextBatch]) -> int:
        """Returns the texts' size in bytes, for Beam's metrics."""
        return sum(one.table.nbytes for one in batch)


def build(pipeline: beam.Pipeline, parts: Sequence[TextPart], spec: EmbedSpec) -> None:
    """Adds the job's steps to an empty pipeline; the manifest is written after all shards."""
    handler = EncoderHandler(spec.model, spec.precision, spec.dtype)
    _ = (
        pipeline
        | "Parts" >> beam.Create(parts)
        # Without it a runner may give all files to the worker that listed them.
        | "Distribute" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read_batches, spec.read)
        | "WrapBatch" >> beam.Map(lambda batch: [batch])
        | "Embed" >> RunInference(handler.with_no_batching())
        | "WriteShard" >> beam.Map(write_shard, staging_folder(spec.output))
        | "CollectShards" >> beam.combiners.ToList()
        | "Publish" >> beam.Map(publish_shards, spec)
    )


def write_shard(batch: TextBatch, staging: str) -> EmbeddingShard:
    """Stages one Parquet file, unless it would be empty; returns its entry for the manifest."""
    name, size = f"{batch.shard}.parquet", 0
    if batch.table.num_rows:
        buffer = io.BytesIO()
        # Embeddings neither repeat nor compress; the other columns do both.
        others = [column for column in batch.table.column_names if column != EMBEDDING]
        pq.write_table(batch.table, buffer, compression="zstd", use_dictionary=others)
        size = buffer.tell()
        storage.write_bytes(storage.join(staging, name), buffer.getvalue())
    return EmbeddingShard(name, batch.table.num_rows, batch.bad_rows, size)


def publish_shards(shards: Sequence[EmbeddingShard], spec: EmbedSpec) -> None:
    """Makes the embeddings folder of the staged files appear.

    Args:
        shards: All shards of the job, in any order.
        spec: The options of the job.

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
