"""Writes the compiled training step for a machine with an accelerator, and what measures it there.

    python -m benchmarks.accelerator --corpus CORPUS --output FOLDER [--config CONFIG] \
      [--batch 128 512 1024 2048 4096] [--layout packed padded] [--precision bfloat16 float32]

FOLDER then holds, for each layout, precision and batch, the program of one replica's step (the HLO
from which XLA begins, which `run.py` turns into StableHLO), batches of the corpus, and `run.py`.
Copy it to the machine and run `python run.py` there: that needs jax and numpy, nothing of this
project and no network. It prints steps and pairs per second and the share of the device's peak, and
writes `results.json`.

Batches above `--chunk-pairs` use GradCache. The weights are random, of the configuration's sizes;
`run.py` draws them again from the same seeds. Programs named check-… have a small batch: their ten
losses were computed here, by TensorFlow on the CPU, and `run.py` compares them.
"""

import argparse
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import accelerator_runner
from benchmarks.accelerator_runner import PROGRAMS

if TYPE_CHECKING:
    from rejoinder.trainer.data.layout import HostBatch
    from rejoinder.trainer.run import Run
    from rejoinder.trainer.tpu_compile.lowering import LoweredStep

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RECIPE = "reddit_single_context_mpnet_base"
LAYOUTS, PRECISIONS = ("packed", "padded"), ("bfloat16", "float32")
_BATCHES = 2  # of a program that is only measured, which takes them in turns
_CHECKED_STEPS = 10
# A fast schedule, so that ten steps change the weights: in the published one they are warm-up.
_SCHEDULE = {
    "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 1e-4,
    "trainer.optimizer_config.warmup.linear.warmup_steps": 2,
}


@dataclass(frozen=True)
class Cell:
    """One program.

    Attributes:
        layout: `packed` or `padded`.
        precision: `bfloat16` or `float32`.
        batch: Pairs of a step.
        chunks: Chunks of GradCache; 1 does not use it.
        check: Whether the CPU's losses are recorded.
    """

    layout: str
    precision: str
    batch: int
    chunks: int = 1
    check: bool = False

    @property
    def name(self) -> str:
        """The name of its files."""
        chunks = f"-in-{self.chunks}" if self.chunks > 1 else ""
        check = "check-" if self.check else ""
        return f"{check}{self.layout}-{self.precision}-{self.batch}{chunks}"


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the programs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--config", action="append", help="as of train; the published recipe")
    parser.add_argument("--batch", nargs="+", type=int, default=[128, 512, 1024, 2048, 4096])
    parser.add_argument("--layout", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--chunk-pairs", type=int, default=512, help="(%(default)s)")
    parser.add_argument("--check-batch", type=int, default=16, help="(%(default)s)")
    arguments = parser.parse_args(argv)
    # Read when TensorFlow is imported: it would compute the counters of all dropout masks,
    # gigabytes, as constants of the program.
    given = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{given} --tf_xla_disable_constant_folding=true".strip()
    arguments.output.mkdir(parents=True)
    programs = []
    for layout in arguments.layout:
        for precision in arguments.precision:
            for cell in cells(
                layout, precision, arguments.batch, arguments.chunk_pairs, arguments.check_batch
            ):
                print(f"{cell.name} …", flush=True)
                run = open_cell(cell, arguments.config or [RECIPE], arguments.corpus)
                programs.append(write_program(cell, run, arguments.output))
    (arguments.output / PROGRAMS).write_text(json.dumps(programs, indent=1) + "\n")
    shutil.copy(accelerator_runner.__file__, arguments.output / "run.py")
    print(f"wrote {len(programs)} programs; on the other machine: python {arguments.output}/run.py")


def cells(
    layout: str, precision: str, batches: Sequence[int], chunk_pairs: int, check_batch: int
) -> Iterator[Cell]:
    """Yields the programs of one layout and precision, the checked ones first."""
    for chunks in (1, 2):
        yield Cell(layout, precision, check_batch, chunks, check=True)
    for batch in batches:
        yield Cell(layout, precision, batch, max(-(-batch // chunk_pairs), 1))


def open_cell(cell: Cell, configs: Sequence[str], corpus: str) -> "Run":
    """Returns the run of a program, which is not executed.

    Args:
        cell: The program.
        configs: Configuration files, later ones win.
        corpus: Corpus of its batches.
    """
    import tensorflow as tf

    from rejoinder.trainer.run import open_run
    from rejoinder.trainer.settings.resolve import read_config

    values = {
        "task.train_data.input_path": corpus,
        "task.train_data.layout": cell.layout,
        "task.train_data.global_batch_size": cell.batch,
        "task.train_data.row_counts": 1,
        "task.grad_cache_chunks": cell.chunks,
        "task.model.init_from": "",
        "runtime.mixed_precision_dtype": cell.precision,
        **_SCHEDULE,
    }
    return open_run(
        read_config(configs, "", values),
        tempfile.mkdtemp(),
        mode="train",
        strategy=tf.distribute.get_strategy(),
    )


def write_program(cell: Cell, run: "Run", folder: Path) -> dict[str, Any]:
    """Writes the files of one program and returns its entry in `programs.json`."""
    from rejoinder.trainer.data.inputs import Shares, TrainInput
    from rejoinder.trainer.tpu_compile.lowering import lower_step

    data = TrainInput(run.config.task, run.train_corpora, Shares())
    batches = [data(step) for step in range(_CHECKED_STEPS if cell.check else _BATCHES)]
    lowered = lower_step(run, batches[0].replicas[0])
    state, arrays = describe_state(lowered)
    for step, batch in enumerate(batches):
        for name in lowered.features:
            arrays[f"{name}_{step}"] = batch.replicas[0][name]
    np.savez_compressed(folder / f"{cell.name}.npz", **arrays)
    program = gzip.compress(lowered.hlo, 6, mtime=0)
    (folder / f"{cell.name}.hlo.gz").write_bytes(program)
    first = len(lowered.features) + 1
    entry = {
        "name": cell.name,
        "layout": cell.layout,
        "precision": cell.precision,
        "batch": cell.batch,
        "chunks": cell.chunks,
        "tokens": sum(batch.tokens for batch in batches) / len(batches),
        "positions": batches[0].capacity,
        "program": f"{cell.name}.hlo.gz",
        "data": f"{cell.name}.npz",
        "batches": len(batches),
        "features": lowered.features,
        "state": state,
        "updated": [lowered.aliases[place] - first for place in sorted(lowered.aliases)],
    }
    if cell.check:
        entry["losses"] = cpu_losses(lowered, state, arrays, batches)
    return entry


def describe_state(lowered: "LoweredStep") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns how `run.py` makes each argument of the state, and the arrays that it reads.

    Random weights are described by their deviation and a seed, so that a program of 109 M weights
    needs no file of 436 MB.
    """
    first = len(lowered.features) + 1
    updated = {index - first for index in lowered.aliases.values()}
    state, arrays = [], {}
    for index, value in enumerate(lowered.values()):
        entry: dict[str, Any] = {"shape": list(value.shape), "dtype": value.dtype.name}
        if value.size and (value == value.flat[0]).all():
            entry["value"] = value.flat[0].item()
        elif index in updated:
            entry |= {"deviation": float(value.std()), "seed": index}
        else:
            entry["array"] = f"state_{index}"
            arrays[entry["array"]] = value
        state.append(entry)
    return state, arrays


def cpu_losses(
    lowered: "LoweredStep",
    state: Sequence[dict[str, Any]],
    arrays: dict[str, NDArray[Any]],
    batches: Sequence["HostBatch"],
) -> list[float]:
    """Returns the losses of the batches, computed by the step on the CPU.

    XLA compiles it: outside of XLA, TensorFlow draws other seeds for the dropout masks.
    """
    import tensorflow as tf

    for handle, entry in zip(lowered.state, state, strict=True):
        if handle.dtype == tf.resource:
            value = tf.constant(accelerator_runner.initial(entry, arrays))
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    losses = []
    for batch in batches:
        features = {name: tf.constant(batch.replicas[0][name]) for name in lowered.features}
        losses.append(float(lowered.step(features, tf.constant(0))))
    return losses


if __name__ == "__main__":
    main()
