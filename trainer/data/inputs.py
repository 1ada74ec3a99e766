"""From the configuration to functions that return the batch of a step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.errors import UserError
from rejoinder.trainer.config import DualEncoderTask, PairData
from rejoinder.trainer.data.corpora import Corpus
from rejoinder.trainer.data.layout import Arranged, PackedLayout, PaddedLayout, rows_needed
from rejoinder.trainer.data.mixture import Mixture, integer_weights
from rejoinder.trainer.data.records import Pairs, read_shard
from rejoinder.trainer.data.sampler import Sampler, host_share

LAYOUTS = ("packed", "bucketed", "padded")
_SAMPLE = 16_384  # pairs of each data set whose lengths decide the number of rows
_TRAIN_DEVIATIONS = 3.0  # a fuller batch has its longest sentences cut: one in a thousand
_FEWEST_DEVIATIONS = -1.5  # of the smallest of several row counts; one batch in 15 needs fewer
_VALIDATION_DEVIATIONS = 8.0  # validation must not depend on the batch: practically never


@dataclass(frozen=True)
class Shares:
    """How a batch is shared out.

    Attributes:
        hosts: Hosts that read data.
        host: Number of this host.
        replicas: Replicas of one host.
    """

    hosts: int = 1
    host: int = 0
    replicas: int = 1

    @classmethod
    def of(cls, strategy) -> "Shares":
        """Returns the shares under a strategy."""
        import tensorflow as tf

        replicas = strategy.num_replicas_in_sync
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # One process drives all devices, also those of a TPU pod's other hosts.
            return cls(1, 0, replicas)
        resolver = strategy.cluster_resolver
        spec = resolver.cluster_spec().as_dict()
        chiefs, workers = len(spec.get("chief", ())), len(spec.get("worker", ()))
        host = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        return cls(chiefs + workers, host, replicas // (chiefs + workers))


class TrainInput:
    """The endless training batches.

    Attributes:
        names: Names of the data sets, as `source` features count them.
        weights: Their draw weights.
        examples: Pairs of one epoch over all data sets.
        layout: The shapes.

    Args:
        task: Configuration.
        corpora: What `open_corpora` gave.
        shares: Hosts and replicas.
    """

    def __init__(self, task: DualEncoderTask, corpora: Sequence[Corpus], shares: Shares):
        data = task.train_data
        self.names = [corpus.source.name for corpus in corpora]
        self.examples = sum(corpus.examples for corpus in corpora)
        self.weights = integer_weights(
            data.weighting,
            weights=[corpus.weight for corpus in corpora],
            examples=[corpus.examples for corpus in corpora],
            temperature=data.temperature,
        )
        per_host = _share(data, shares, "task.train_data")
        self._sampler = Sampler(
            [host_share(corpus.source, shares.host, shares.hosts) for corpus in corpora],
            Mixture(self.weights, data.seed),
            batch_size=per_host,
            datasets_per_batch=data.datasets_per_batch,
            window=data.shuffle_window,
            seed=data.seed,
            shuffle=data.shuffle,
            threads=task.loss.mask_same_thread,
            log_frequency=task.loss.log_q,
        )
        if task.loss.mask_same_thread:
            for corpus in corpora:
                if data.split not in corpus.manifest.has_text:
                    raise UserError(
                        f"{corpus.source.folder}: its {data.split!r} pairs carry no thread_id, "
                        "which task.loss.mask_same_thread needs; make the corpus with --keep-text"
                    )
        self.layout = make_layout(task, data, corpora, shares, _TRAIN_DEVIATIONS)

    def __call__(self, step: int) -> Arranged:
        """Returns this host's batch of step `step`."""
        return self.layout.arrange(self._sampler.batch(step))


class ValidationInput:
    """The validation pairs once, in the corpus' order; a last, incomplete batch is left out.

    Attributes:
        batches: Number of batches.

    Args:
        task: Configuration.
        corpora: What `open_corpora` gave.
        shares: Hosts and replicas.
    """

    def __init__(self, task: DualEncoderTask, corpora: Sequence[Corpus], shares: Shares):
        data = task.validation_data
        per_host = _share(data, shares, "task.validation_data")
        self._samplers: list[tuple[int, Sampler]] = []
        self.batches = 0
        for corpus in corpora:
            hosts = [host_share(corpus.source, host, shares.hosts) for host in range(shares.hosts)]
            # Every host must run the same number of steps: that of the smallest share.
            batches = min(sum(s.examples for s in host.shards) // per_host for host in hosts)
            sampler = Sampler(
                [hosts[shares.host]],
                Mixture((1,), data.seed),
                batch_size=per_host,
                window=per_host,
                shuffle=data.shuffle,
                seed=data.seed,
            )
            self._samplers.append((batches, sampler))
            self.batches += batches
        if not self.batches:
            raise UserError(
                f"task.validation_data.global_batch_size: {data.global_batch_size} pairs are more "
                f"than the {data.split!r} split holds"
            )
        self.layout = make_layout(task, data, corpora, shares, _VALIDATION_DEVIATIONS)

    def __call__(self, step: int) -> Arranged:
        """Returns this host's batch `step` < `batches`."""
        for batches, sampler in self._samplers:
            if step < batches:
                return self.layout.arrange(sampler.batch(step))
            step -= batches
        raise IndexError(step)


def make_layout(
    task: DualEncoderTask,
    data: PairData,
    corpora: Sequence[Corpus],
    shares: Shares,
    deviations: float,
) -> PackedLayout | PaddedLayout:
    """Returns the layout of a configuration, its number of rows found from the data."""
    pad_id = corpora[0].manifest.pad_id
    max_length = task.model.max_length
    if data.layout == "packed":
        row_length = data.row_length or max_length
        pairs = data.global_batch_size // (shares.hosts * shares.replicas)
        if data.rows_per_replica:
            counts = [data.rows_per_replica]
        else:
            samples = [sample_pairs(corpus) for corpus in corpora]
            counts = [
                rows_needed(samples, pairs, shares.replicas, row_length, level)
                for level in _levels(data, shares, deviations)
            ]
        # Chunks of rows must be of one size, also for GradCache.
        chunks = task.grad_cache_chunks
        counts = sorted({-(-rows // chunks) * chunks for rows in counts})
        return PackedLayout(shares.replicas, row_length, counts, data.max_segments, pad_id)
    if data.layout not in LAYOUTS:
        raise UserError(f"task.*.layout: must be one of {', '.join(LAYOUTS)}, got {data.layout!r}")
    shorter = sorted(w for w in data.bucket_lengths if w < max_length)
    if data.layout == "bucketed" and shares.hosts > 1:
        raise UserError("task.*.layout: bucketed works on one host; use packed")
    lengths = [*shorter, max_length] if data.layout == "bucketed" else [max_length]
    return PaddedLayout(shares.replicas, lengths, pad_id)


def _levels(data: PairData, shares: Shares, deviations: float) -> list[float]:
    """Returns how far above the mean (in standard deviations) each number of rows lies."""
    if data.row_counts < 1:
        raise UserError(f"task.*.row_counts: must be at least 1, got {data.row_counts}")
    if data.row_counts > 1 and shares.hosts > 1:
        # Every host must run the same compiled step, and none knows the others' batches.
        raise UserError("task.*.row_counts: more than 1 works on one host")
    return np.linspace(deviations, _FEWEST_DEVIATIONS, data.row_counts).tolist()


def sample_pairs(corpus: Corpus) -> Pairs:
    """Returns the first pairs of a corpus (of its first shard that has any)."""
    shard = next(shard for shard in corpus.source.shards if shard.examples)
    pairs = read_shard(corpus.source.folder, shard)
    return pairs.take(np.arange(min(len(pairs), _SAMPLE)))


def _share(data: PairData, shares: Shares, key: str) -> int:
    """Returns the pairs of one host."""
    replicas = shares.hosts * shares.replicas
    if data.global_batch_size < 1 or data.global_batch_size % replicas:
        raise UserError(
            f"{key}.global_batch_size: must be a multiple of the {replicas} replicas, "
            f"got {data.global_batch_size}"
        )
    return data.global_batch_size // shares.hosts
