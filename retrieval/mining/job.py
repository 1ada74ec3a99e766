"""Finds the hard negatives of every train pair of a corpus and writes a corpus with them."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from rejoinder import storage
from rejoinder.corpus import checksums, tfrecord
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.embeddings import TEXT
from rejoinder.corpus.features import (
    CONTEXT,
    CONTEXT_IDS,
    GUIDES,
    RESPONSE,
    RESPONSE_IDS,
    THREAD_ID,
    negative_ids,
)
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, TOKENIZER_FOLDER
from rejoinder.corpus.reading import read_records, with_features
from rejoinder.corpus.texts import text_features
from rejoinder.models.quantize import quantize
from rejoinder.models.similarity import scale_to_unit_length
from rejoinder.pipelines.publish.tfds_metadata import documents as tfds_documents
from rejoinder.publishing import Move, publish
from rejoinder.retrieval import index_builder
from rejoinder.retrieval.index import SearchIndex
from rejoinder.retrieval.mining.pairs import PairRows, read_pairs
from rejoinder.retrieval.mining.select import Candidate, Pair, select_negatives

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder

_TRAIN = "train"
_IDS = "ids"
# Responses that are fetched for each negative: equal texts and those above the limit are left out.
_FETCHED = 20


@dataclass(frozen=True)
class MiningOptions:
    """What to mine.

    Attributes:
        corpus: Folder of the corpus.
        output: Resolved path of the new corpus.
        model: Name or folder of the model.
        precision: Precision of its computation, "float32" or "bfloat16".
        negatives: Negatives of each pair.
        share: Highest score of a negative, as a share of the true pair's.
        exact: Whether each context is compared with every response.
        guide: Whether each pair gets the model's vectors of its texts.
        overwrite: Whether a finished corpus at `output` is replaced.
    """

    corpus: str
    output: str
    model: str
    precision: str
    negatives: int
    share: float
    exact: bool
    guide: bool
    overwrite: bool


@dataclass
class Mined:
    """What was found.

    Attributes:
        found: How many pairs have each number of negatives.
        margins: Sum of the differences between the true pair's score and the negatives' scores.
        examples: Texts of the first pairs: context, response, negatives with their scores.
    """

    found: Counter[int] = dataclasses.field(default_factory=Counter)
    margins: float = 0.0
    examples: list[tuple[str, str, list[tuple[float, str]]]] = dataclasses.field(
        default_factory=list
    )


def mine(options: MiningOptions, manifest: Manifest, encoder: "Encoder", staging: str) -> Mined:
    """Writes the new corpus.

    Args:
        options: What to mine.
        manifest: Manifest of the corpus, whose train split carries text.
        encoder: Embeds contexts and responses.
        staging: Staging folder of the output.

    Returns:
        Counts and examples.

    Raises:
        UserError: A file is missing or damaged, or the output cannot be written.
    """
    shards = manifest.splits[_TRAIN]
    total = manifest.examples(_TRAIN)
    index_folder = storage.join(staging, "index")
    with _progress("responses", total) as bar:
        index_builder.build(
            index_folder,
            _response_batches(options.corpus, shards, encoder, bar),
            model=options.model,
            source=options.corpus,
        )
    index = SearchIndex(index_folder)
    mined, moves, entries, first = Mined(), dict[str, Move](), list[Shard](), 0
    with _progress("contexts", total) as bar:
        for shard in shards:
            new: list[dict[str, Sequence[int] | bytes]] = []
            for rows in read_pairs(options.corpus, shard):
                new += _new_features(index, rows, first + len(new), encoder, options, mined)
                bar.update(len(rows.threads))
            first += len(new)
            records = read_records(options.corpus, shard)
            data = tfrecord.frame(map(with_features, records, new))
            path = storage.join(staging, shard.name)
            storage.write_bytes(path, data)
            moves[shard.name] = Move(path, len(data))
            entries.append(
                dataclasses.replace(shard, bytes=len(data), sha256=checksums.sha256(data))
            )
    _publish(options, manifest, entries, moves, staging)
    return mined


def _response_batches(
    folder: str, shards: list[Shard], encoder: "Encoder", bar: tqdm
) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """Yields every response of the split, in order, with its ids and its thread."""
    for shard in shards:
        for rows in read_pairs(folder, shard):
            table = pa.table(
                {
                    TEXT: rows.texts[RESPONSE],
                    CONTEXT: rows.texts[CONTEXT],
                    THREAD_ID: rows.threads,
                    _IDS: pa.array(rows.ids[RESPONSE_IDS], pa.list_(pa.int32())),
                }
            )
            yield table, _embed(encoder, rows.texts[RESPONSE])
            bar.update(len(table))


def _embed(encoder: "Encoder", texts: list[str]) -> NDArray[np.float32]:
    return scale_to_unit_length(np.concatenate(list(encoder.stream(texts))))


def _new_features(
    index: SearchIndex,
    rows: PairRows,
    first: int,
    encoder: "Encoder",
    options: MiningOptions,
    mined: Mined,
) -> list[dict[str, Sequence[int] | bytes]]:
    """Returns what is added to consecutive pairs; `first` is the number of the first one."""
    contexts = _embed(encoder, rows.texts[CONTEXT])
    own = index.vectors(first, len(contexts))
    scores = np.sum(contexts * own, axis=1)
    nearest = index.rows(contexts, _FETCHED * options.negatives, exact=options.exact)
    guides = [quantize(vectors, "int8") for vectors in (contexts, own)] if options.guide else []
    result = []
    for number, found in enumerate(nearest):
        pair = Pair(
            float(scores[number]),
            rows.ids[CONTEXT_IDS][number].tolist(),
            rows.ids[RESPONSE_IDS][number].tolist(),
            rows.threads[number],
            rows.texts[CONTEXT][number],
        )
        candidates = (_candidate(index, *one) for one in found)
        chosen = select_negatives(pair, candidates, count=options.negatives, share=options.share)
        mined.found[len(chosen)] += 1
        mined.margins += sum(pair.score - one.score for one in chosen)
        if chosen and len(mined.examples) < 3:
            texts = [(one.score, one.text) for one in chosen]
            mined.examples.append(
                (rows.texts[CONTEXT][number], rows.texts[RESPONSE][number], texts)
            )
        features: dict[str, Sequence[int] | bytes] = {
            name: vectors[number].tobytes() for name, vectors in zip(GUIDES, guides, strict=False)
        }
        result.append(features | {negative_ids(i): one.ids for i, one in enumerate(chosen)})
    return result


def _candidate(index: SearchIndex, score: float, segment: int, row: int) -> Candidate:
    fields: dict[str, Any] = index.segments[segment].row(row)
    return Candidate(score, fields[_IDS], fields[THREAD_ID], fields[CONTEXT], fields[TEXT])


def _publish(
    options: MiningOptions,
    manifest: Manifest,
    train: list[Shard],
    moves: dict[str, Move],
    staging: str,
) -> None:
    """Publishes the new shards beside copies of the test split and the tokenizer."""
    own = {
        "model": options.model,
        "precision": options.precision,
        "negatives": options.negatives,
        "share": options.share,
        "exact": options.exact,
        "guide": options.guide,
    }
    new = dataclasses.replace(
        manifest,
        splits=manifest.splits | {_TRAIN: train},
        options=manifest.options | {"mine": own},
    )
    digests = {shard.name: shard.sha256 for shards in new.splits.values() for shard in shards}
    for shard in (one for split in new.splits if split != _TRAIN for one in new.splits[split]):
        path = storage.join(staging, shard.name)
        storage.write_bytes(path, storage.read_bytes(storage.join(options.corpus, shard.name)))
        moves[shard.name] = Move(path, shard.bytes)
    documents = {
        name: storage.read_bytes(storage.join(options.corpus, name))
        for name in _listed(options.corpus)
        if name.startswith(f"{TOKENIZER_FOLDER}/")
    }
    described = tfds_documents(new, text_features(options.corpus)) | {MANIFEST: new.to_json()}
    documents |= {name: text.encode() for name, text in described.items()}
    digests |= {name: checksums.sha256(data) for name, data in documents.items()}
    documents[COMPLETED] = checksums.to_text(digests).encode()
    publish(
        options.output,
        staging,
        CORPUS,
        overwrite=options.overwrite,
        moves=moves,
        documents=documents,
        last=COMPLETED,
    )


def _listed(folder: str) -> list[str]:
    text = storage.read_bytes(storage.join(folder, COMPLETED)).decode()
    return sorted(checksums.from_text(text))


def _progress(what: str, total: int) -> tqdm:
    return tqdm(total=total, desc=what, unit=" pairs", mininterval=2.0)
