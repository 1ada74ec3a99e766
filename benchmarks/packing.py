"""Texts packed per second on one core, and the share of real tokens in the rows.

    python benchmarks/packing.py

Lengths are drawn like those of Reddit comments under the training filter (mean
18.5 tokens, 99th percentile about 36).
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row-length", type=int, default=128)
    parser.add_argument("--max-segments", type=int, default=16)
    parser.add_argument("--texts", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--fill", type=float, default=0.95, help="share of real tokens aimed at")
    parser.add_argument("--batches", type=int, default=200)
    args = parser.parse_args()

    import numpy as np
    import tensorflow as tf

    from rejoinder.models.packing import pack

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print("| texts a batch | rows | real tokens | batches that fit | texts per CPU second |")
    print("| --- | --- | --- | --- | --- |")
    for texts in args.texts:
        rng = np.random.default_rng(0)
        lengths = np.clip(rng.lognormal(2.87, 0.32, [args.batches, texts]).round(), 3, 128)
        rows = int(np.ceil(lengths.mean() * texts / args.row_length / args.fill))
        batches = [
            tf.RaggedTensor.from_row_lengths(tf.zeros([n.sum()], tf.int32), n)
            for n in lengths.astype(np.int64)
        ]
        step = tf.function(
            lambda ids, rows=rows: pack(ids, args.row_length, rows, args.max_segments, 1),
            input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)],
        )
        step(batches[0])
        start = time.process_time()
        packed = [step(batch) for batch in batches]
        seconds = time.process_time() - start
        fits = np.mean([bool(batch.fits) for batch in packed])
        real = np.mean([(batch.segment_ids.numpy() > 0).mean() for batch in packed])
        print(
            f"| {texts} | {rows} x {args.row_length} | {real:.1%} | {fits:.0%} "
            f"| {texts * args.batches / seconds:,.0f} |"
        )


if __name__ == "__main__":
    main()
