"""Makes, from the configuration, functions that return the batch of a step."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.config import PairData, TaskConfig
from rejoinder.trainer.data.corpora import Corpus, check_threads
from rejoinder.trainer.data.layout import HostBatch, PackedLayout, PaddedLayout, rows_needed
from rejoinder.trainer.data.layout_check import check_chunks, check_row_length
from rejoinder.trainer.data.mixture import Mixture, integer_weights
from rejoinder.trainer.data.records import NO_PARTS, PairParts, Pairs, Turns, read_shard
from rejoinder.trainer.data.sampler import Sampler
from rejoinder.trainer.data_sets import evaluated
from rejoinder.trainer.distribution.hosts import Hosts

LAYOUTS = ("packed", "bucketed", "padded")
_SAMPLE = 16_384  # pairs of each data set whose lengths decide the number of rows
TRAIN_DEVIATIONS = 3.0  # one batch in a thousand is fuller, and is cut
_FEWEST_DEVIATIONS = -1.5  # of the smallest row count; one batch in 15 needs fewer
_VALIDATION_DEVIATIONS = 8.0  # validation batches must practically never be cut


@dataclass(frozen=True)
class Shares:
    """The division of a batch among hosts and replicas.

    Every host draws and arranges the same batch and takes the rows of its own replicas.
    The batch of a step therefore does not depend on the number of hosts, and all hosts
    choose the same shapes.

    Attributes:
        hosts: Hosts that read data.
        host: Index of this host.
        replicas: Replicas of one host.
    """

    hosts: int = 1
    host: int = 0
    replicas: int = 1

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> "Shares":
        """Returns the shares under a strategy."""
        hosts = Hosts.of(strategy)
        return cls(hosts.count, hosts.index, strategy.num_replicas_in_sync // hosts.count)

    @property
    def total(self) -> int:
        """Replicas of all hosts."""
        return self.hosts * self.replicas

    def own(self, batch: HostBatch) -> HostBatch:
        """Returns a batch of all replicas with the features of this host's replicas only.

        Its counts stay those of all hosts.
        """
        first = self.host * self.replicas
        return dataclasses.replace(batch, replicas=batch.replicas[first : first + self.replicas])


class TrainInput:
    """The endless training batches.

    Attributes:
        names: Names of the data sets; the feature `data_set` is an index into them.
        weights: Their draw weights.
        examples: Pairs of one epoch over all data sets.
        layout: The layout of a batch.

    Args:
        task: Configuration.
        corpora: Result of `open_corpora`.
        shares: Hosts and replicas.
    """

    def __init__(self, task: TaskConfig, corpora: Sequence[Corpus], shares: Shares):
        data = task.train_data
        self.names = [corpus.data_set.name for corpus in corpora]
        self.examples = sum(corpus.examples for corpus in corpora)
        self.weights = integer_weights(
            data.weighting,
            weights=[corpus.weight for corpus in corpora],
            examples=[corpus.examples for corpus in corpora],
            temperature=data.temperature,
        )
        check_batch_size(data, shares, "task.train_data")
        self._shares = shares
        self._sampler = Sampler(
            [corpus.data_set for corpus in corpora],
            Mixture(self.weights, data.seed),
            batch_size=data.global_batch_size,
            datasets_per_batch=data.datasets_per_batch,
            window=data.shuffle_window,
            seed=data.seed,
            shuffle=data.shuffle,
            log_frequency=task.loss.log_q,
            parts=parts_to_read(task),
        )
        samples = [sample_pairs(corpus, parts_to_read(task)) for corpus in corpora]
        if task.loss.mask_threads:
            check_threads(samples)
        self.layout = make_layout(task, data, samples, pad_id(corpora), shares, TRAIN_DEVIATIONS)

    def __call__(self, step: int) -> HostBatch:
        """Returns this host's batch of step `step`."""
        return self._shares.own(self.layout.arrange(self._sampler.batch(step)))


class ValidationInput:
    """One pass over the validation pairs in the order of the corpus, without a last partial batch.

    Attributes:
        batches: Number of batches.
        names: Names of the data sets; the feature `data_set` is an index into them.

    Args:
        task: Configuration.
        corpora: Result of `open_corpora`.
        shares: Hosts and replicas.
    """

    def __init__(self, task: TaskConfig, corpora: Sequence[Corpus], shares: Shares):
        data = task.validation_data
        self.names = [corpus.data_set.name for corpus in corpora]
        check_batch_size(data, shares, "task.validation_data")
        self._shares = shares
        self._samplers: list[tuple[int, Sampler]] = []
        self.batches = 0
        for corpus in corpora:
            batches = corpus.examples // data.global_batch_size
            sampler = Sampler(
                [corpus.data_set],
                Mixture((1,), data.seed),
                batch_size=data.global_batch_size,
                window=data.global_batch_size,
                shuffle=data.shuffle,
                seed=data.seed,
            )
            self._samplers.append((batches, sampler))
            self.batches += batches
        if not self.batches:
            raise UserError(
                f"task.validation_data.global_batch_size: must not exceed the pairs of the "
                f"{data.split!r} split, got {data.global_batch_size}"
            )
        self.layout = make_layout(
            task, data, map(sample_pairs, corpora), pad_id(corpora), shares, _VALIDATION_DEVIATIONS
        )

    def __call__(self, step: int) -> HostBatch:
        """Returns this host's batch `step` < `batches`."""
        for index, (batches, sampler) in enumerate(self._samplers):
            if step < batches:
                batch = sampler.batch(step)
                batch = dataclasses.replace(batch, data_set=np.full_like(batch.data_set, index))
                return self._shares.own(self.layout.arrange(batch))
            step -= batches
        raise IndexError(step)

    def evaluated(self, steps: int) -> dict[int, str]:
        """Returns the data sets of the first batches: the name of each index.

        Args:
            steps: Number of batches; -1 for all.
        """
        return evaluated(self.names, [batches for batches, _ in self._samplers], steps)


def make_layout(
    task: TaskConfig,
    data: PairData,
    samples: Iterable[Pairs],
    pad_id: int,
    shares: Shares,
    deviations: float,
) -> PackedLayout | PaddedLayout:
    """Returns the layout of a configuration; the number of rows follows from the data.

    Args:
        task: Configuration.
        data: Its `train_data` or `validation_data`.
        samples: Pairs of each data set; only the packed layout reads them.
        pad_id: Id of the padding token.
        shares: Hosts and replicas.
        deviations: Standard deviations above the mean that packed rows still hold.
    """
    max_length = task.model.max_length
    trains = data is task.train_data
    if data.layout == "packed":
        row_length = data.row_length or max_length
        pairs = data.global_batch_size // shares.total
        samples = list(samples)
        side = "train" if trains else "validation"
        check_row_length(samples, row_length, f"task.{side}_data.row_length")
        levels = _levels(data, deviations)
        counts = [rows_needed(samples, pairs, shares.total, row_length, level) for level in levels]
        if data.datasets_per_batch == 1 and len(samples) > 1 and len(levels) > 1:
            # A batch of the data set with the shortest texts needs the fewest rows.
            fewest = min(
                rows_needed([sample], pairs, shares.total, row_length, levels[-1])
                for sample in samples
            )
            counts = np.linspace(counts[0], fewest, len(counts)).round().astype(int).tolist()
        # GradCache needs chunks of equal size.
        chunks = task.grad_cache_chunks
        if trains:
            check_chunks(chunks, max(counts))
        counts = sorted({-(-rows // chunks) * chunks for rows in counts})
        return PackedLayout(shares.total, row_length, counts, data.max_segments, pad_id)
    if data.layout not in LAYOUTS:
        raise UserError(f"task.*.layout: must be one of {', '.join(LAYOUTS)}, got {data.layout!r}")
    if trains:
        rows = sentences_of_a_pair(task) * data.global_batch_size // shares.total
        check_chunks(task.grad_cache_chunks, rows, padded=True)
    shorter = sorted(w for w in data.bucket_lengths if w < max_length)
    lengths = [*shorter, max_length] if data.layout == "bucketed" else [max_length]
    return PaddedLayout(shares.total, lengths, pad_id)


def _levels(data: PairData, deviations: float) -> list[float]:
    """Returns the distance of each number of rows from the mean, in standard deviations."""
    if data.row_counts < 1:
        raise UserError(f"task.*.row_counts: must be at least 1, got {data.row_counts}")
    return [float(x) for x in np.linspace(deviations, _FEWEST_DEVIATIONS, data.row_counts)]


def parts_to_read(task: TaskConfig) -> PairParts:
    """Returns what a training reads of each pair beside its context and its response."""
    loss = task.loss
    return PairParts(loss.hard_negatives, loss.guide, _earlier_turns(task), loss.mask_threads)


def _earlier_turns(task: TaskConfig) -> Turns | None:
    length = task.model.max_length
    if task.train_data.layout == "packed":
        length = task.train_data.row_length or length
    return Turns(task.loss.extra_contexts, length) if task.loss.extra_contexts else None


def sentences_of_a_pair(task: TaskConfig) -> int:
    """Returns the number of texts that are encoded for a pair of the training."""
    return 2 + task.loss.hard_negatives + (task.loss.extra_contexts > 0)


def sample_pairs(corpus: Corpus, parts: PairParts = NO_PARTS) -> Pairs:
    """Returns the first pairs of the first shard of a corpus that is not empty."""
    shard = next(shard for shard in corpus.data_set.shards if shard.examples)
    pairs = read_shard(corpus.data_set.folder, shard, parts)
    return pairs.take(np.arange(min(len(pairs), _SAMPLE)))


def pad_id(corpora: Sequence[Corpus]) -> int:
    """Returns the id of the padding token of a run's corpora."""
    return corpora[0].manifest.pad_id


def check_batch_size(data: PairData, shares: Shares, key: str) -> None:
    """Checks that each replica gets the same number of pairs.

    Raises:
        UserError: It does not.
    """
    if data.global_batch_size < 1 or data.global_batch_size % shares.total:
        raise UserError(
            f"{key}.global_batch_size: must be a multiple of the {shares.total} replicas, "
            f"got {data.global_batch_size}"
        )
