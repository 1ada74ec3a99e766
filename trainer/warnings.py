"""What is probably not as the user wants it in a run that can start."""

from collections.abc import Iterator

from rejoinder.trainer.data.mixture import integer_weights
from rejoinder.trainer.run import Run

_MANY_PASSES = 10  # more than any measured run in docs/results.md gained from


def find_warnings(run: Run) -> Iterator[str]:
    """Yields one line per warning."""
    if run.trains:
        yield from _data_warnings(run)
    split = run.config.task.validation_data.split
    for folder in run.left_out:
        yield f"{folder} has no {split!r} pairs and is not evaluated"
    batch = run.config.task.validation_data.global_batch_size
    for corpus in run.validation_corpora:
        if corpus.examples < batch:
            yield (
                f"{corpus.data_set.folder} has {corpus.examples:,} {split!r} pairs, fewer than a "
                f"batch ({batch:,}), and is not evaluated (task.validation_data.global_batch_size)"
            )


def _data_warnings(run: Run) -> Iterator[str]:
    """Yields warnings about repeated pairs: inside a batch, and over the run."""
    data, steps = run.config.task.train_data, run.config.trainer.train_steps
    weights = integer_weights(
        data.weighting,
        weights=[corpus.weight for corpus in run.train_corpora],
        examples=[corpus.examples for corpus in run.train_corpora],
        temperature=data.temperature,
    )
    part = data.global_batch_size // data.datasets_per_batch
    for corpus, weight in zip(run.train_corpora, weights, strict=True):
        name, examples = corpus.data_set.folder, corpus.examples
        if part > examples:
            yield (
                f"a batch draws {part:,} pairs at once from {name}, which has {examples:,}: pairs "
                "repeat inside the batch (task.train_data.global_batch_size)"
            )
        passes = steps * data.global_batch_size * weight / sum(weights) / examples
        if passes > _MANY_PASSES:
            yield (
                f"the run passes {passes:,.0f} times over the {examples:,} pairs of {name} "
                "(trainer.train_steps)"
            )
