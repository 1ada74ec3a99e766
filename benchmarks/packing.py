"""Milliseconds to pack a batch on one core, and the share of real tokens in the rows.

    python -m benchmarks.packing

Compares the packer of the trainer (`rejoinder.models.packing`, a fixed number of rows) with
that of the server (`rejoinder.serving.engine.packing`, the cheapest number of rows). Lengths are
drawn like those of Reddit comments under the training filter (mean 18.5 tokens, 99th percentile
about 36).
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rejoinder.models.packing import PackedBatch, pack
from rejoinder.serving.engine.packing import pack_rows

PAD = 1


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row-length", type=int, default=128)
    parser.add_argument("--max-segments", type=int, default=32)
    parser.add_argument("--texts", type=int, nargs="+", default=[16, 512, 2048])
    parser.add_argument("--fill", type=float, default=0.95, help="target share of real tokens")
    parser.add_argument("--batches", type=int, default=10)
    args = parser.parse_args()

    print("| texts a batch | packer | rows | real tokens | batches that fit | ms a batch |")
    print("| --- | --- | --- | --- | --- | --- |")
    for texts in args.texts:
        rng = np.random.default_rng(0)
        lengths = np.clip(rng.lognormal(2.87, 0.32, [args.batches, texts]).round(), 3, 128)
        rows = math.ceil(lengths.mean() * texts / args.row_length / args.fill)
        splits = [np.cumsum([0, *batch]).astype(np.int64) for batch in lengths]
        values = [np.full(batch[-1], 7, np.int32) for batch in splits]
        pieces = [np.split(v, s[1:-1]) for v, s in zip(values, splits, strict=True)]

        def fixed(index: int, rows: int = rows, values=values, splits=splits) -> PackedBatch:
            return pack(values[index], splits[index], args.row_length, rows, args.max_segments, PAD)

        def cheapest(index: int, pieces=pieces) -> PackedBatch:
            return PackedBatch(*pack_rows(pieces[index], pad_id=PAD, longest=128), fits=True)

        report(texts, "trainer", fixed, args.batches)
        report(texts, "server", cheapest, args.batches)


def report(texts: int, name: str, packer: Callable[[int], PackedBatch], batches: int) -> None:
    """Prints one row of the table."""
    began = time.process_time()
    packed = [packer(index) for index in range(batches)]
    seconds = time.process_time() - began
    shapes: list[NDArray[np.int32]] = [batch.segment_ids for batch in packed]
    real = np.mean([(segments > 0).mean() for segments in shapes])
    fits = np.mean([batch.fits for batch in packed])
    print(
        f"| {texts} | {name} | {shapes[0].shape[0]} x {shapes[0].shape[1]} | {real:.1%} "
        f"| {fits:.0%} | {seconds / batches * 1000:,.2f} |"
    )


if __name__ == "__main__":
    main()
