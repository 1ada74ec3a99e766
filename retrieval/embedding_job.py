"""The Beam job: sources to batches, an encoder by RunInference, a Parquet file per batch."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import ModelHandler, RunInference

from rejoinder import storage
from rejoinder.retrieval.texts import TEXT, ReadOptions, Source, TextBatch, read_batches

EMBEDDING = "embedding"
MANIFEST = "manifest.json"
_ARROW_TYPES = {"float32": pa.float32(), "float16": pa.float16()}


@dataclass(frozen=True)
class EmbedSpec:
    """What a job does.

    Attributes:
        model: Anything that `models.Encoder.load` takes, readable from every worker.
        precision: Of the computation, "float32" or "bfloat16".
        dtype: Of the stored numbers, "float32" or "float16".
    """

    model: str
    output: str
    read: ReadOptions
    precision: str = "float32"
    dtype: str = "float32"


class EncoderHandler(ModelHandler[TextBatch, TextBatch, Any]):
    """Gives RunInference our encoder; loaded once in each worker process."""

    def __init__(self, model: str, precision: str, dtype: str):
        super().__init__()
        self._model = model
        self._precision = precision
        self._dtype = dtype

    def load_model(self) -> Any:
        """Loads the encoder."""
        from rejoinder.models.encoder import Encoder

        return Encoder.load(self._model, precision=self._precision)

    def run_inference(
        self, batch: Sequence[TextBatch], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[TextBatch]:
        """Adds the column `embedding`, rows in the order of the texts."""
        for one in batch:
            if not one.table.num_rows:  # all its lines were bad: only their number goes on
                yield one
                continue
            embeddings = model.encode(one.table[TEXT].to_pylist()).astype(self._dtype)
            column = pa.FixedSizeListArray.from_arrays(
                pa.array(embeddings.ravel(), _ARROW_TYPES[self._dtype]), embeddings.shape[1]
            )
            table = one.table.append_column(EMBEDDING, column)
            yield TextBatch(one.shard, table, one.bad_rows)

    def get_num_bytes(self, batch: Sequence[TextBatch]) -> int:
        """Returns the texts' size, for Beam's metrics."""
        return sum(one.table.nbytes for one in batch)


def build(pipeline: beam.Pipeline, sources: Sequence[Source], spec: EmbedSpec) -> None:
    """Adds the job's steps to `pipeline`; the manifest is written after all shards."""
    handler = EncoderHandler(spec.model, spec.precision, spec.dtype)
    _ = (
        pipeline
        | "Sources" >> beam.Create(sources)
        # Without it a runner may give all files to the worker that listed them.
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read_batches, spec.read)
        | "One by one" >> beam.Map(lambda batch: [batch])
        | "Embed" >> RunInference(handler.with_no_batching())
        | "Write" >> beam.Map(write_shard, spec.output)
        | "All" >> beam.combiners.ToList()
        | "Publish" >> beam.Map(write_manifest, spec)
    )


def write_shard(batch: TextBatch, output: str) -> dict[str, Any]:
    """Writes one Parquet file; returns its entry in the manifest."""
    name = batch.shard + ".parquet"
    if batch.table.num_rows:
        buffer = io.BytesIO()
        # Embeddings neither repeat nor compress; the other columns do both.
        others = [column for column in batch.table.column_names if column != EMBEDDING]
        pq.write_table(batch.table, buffer, compression="zstd", use_dictionary=others)
        storage.write_bytes(storage.join(output, name), buffer.getvalue())
    return {"name": name, "rows": batch.table.num_rows, "bad_rows": batch.bad_rows}


def write_manifest(shards: list[dict[str, Any]], spec: EmbedSpec) -> None:
    """Writes `manifest.json`, without which a folder is not finished."""
    shards = sorted((one for one in shards), key=lambda one: one["name"])
    manifest = {
        "format_version": 1,
        "spec": asdict(spec),
        "rows": sum(one["rows"] for one in shards),
        "bad_rows": sum(one["bad_rows"] for one in shards),
        "shards": [{"name": s["name"], "rows": s["rows"]} for s in shards if s["rows"]],
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    storage.write_bytes(storage.join(spec.output, MANIFEST), text.encode())


def read_embeddings(table: pa.Table) -> np.ndarray:
    """Returns the column `embedding` of a shard as [rows, d] without copying."""
    column = table[EMBEDDING].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
