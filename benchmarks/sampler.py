"""Rates of the sampler and the packer, compared with reading alone and with the trainer.

python -m benchmarks.sampler --corpus CORPUS [--batch 1024] [--epochs 3]

The trainer is that of the published recipe on this machine: mpnet-base's sizes, random weights.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Prints the rates of reading, of the sampler with and without packing, and of the trainer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    from rejoinder.corpus.manifest import load_manifest
    from rejoinder.trainer.config import default_config
    from rejoinder.trainer.data.corpora import open_corpora
    from rejoinder.trainer.data.inputs import Shares, TrainInput
    from rejoinder.trainer.data.mixture import Mixture
    from rejoinder.trainer.data.records import read_shard
    from rejoinder.trainer.data.sampler import DataSet, Sampler

    shards = tuple(load_manifest(arguments.corpus).splits["train"])
    pairs = sum(shard.examples for shard in shards)
    steps = arguments.epochs * pairs // arguments.batch
    rates = {}

    began = time.perf_counter()
    for _ in range(arguments.epochs):
        for shard in shards:
            read_shard(arguments.corpus, shard)
    rates["read and parse (the limit)"] = arguments.epochs * pairs / (time.perf_counter() - began)

    def fresh() -> Sampler:
        return Sampler(
            [DataSet("data", arguments.corpus, shards)],
            Mixture((1,), 0),
            batch_size=arguments.batch,
            window=max(1, pairs // 4),
        )

    sampler = fresh()
    began = time.perf_counter()
    for step in range(steps):
        sampler.batch(step)
    rates["sampler, windows of a quarter"] = steps * arguments.batch / (time.perf_counter() - began)

    config = default_config()
    config.task.train_data.input_path = arguments.corpus
    config.task.train_data.global_batch_size = arguments.batch
    data = TrainInput(config.task, open_corpora(config.task.train_data, "data"), Shares())
    data(0)
    began = time.perf_counter()
    packed = [data(step) for step in range(1, 1 + steps // arguments.epochs)]
    rates["sampler and packing to 128"] = (
        len(packed) * arguments.batch / (time.perf_counter() - began)
    )

    rates["the trainer, float32"] = consumption(arguments.corpus)
    for name, rate in rates.items():
        print(f"{name:<32} {rate:>12,.0f} pairs/s")
    times = rates["sampler and packing to 128"] / rates["the trainer, float32"]
    print(f"{'sampler and packing, of that':<32} {times:>12,.0f} times")
    tokens, capacity = sum(b.tokens for b in packed), sum(b.capacity for b in packed)
    print(f"{'real tokens':<32} {tokens / capacity:>12.1%}")
    print(f"{'tokens cut':<32} {sum(b.cut for b in packed) / tokens:>12.5%}")
    for step in (0, 1, 12_345, 10**9):
        sampler = fresh()
        began = time.perf_counter()
        sampler.batch(step)
        name = f"fresh start at step {step:,}"
        print(f"{name:<32} {time.perf_counter() - began:>12.2f} s")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def consumption(folder: str, batch: int = 32, steps: int = 3) -> float:
    """Returns the pairs per second that the trainer of the published recipe reaches here."""
    import tensorflow as tf

    from benchmarks.train_contenders import build_trainer

    trainer = build_trainer(
        {"task.train_data.input_path": folder, "task.train_data.global_batch_size": batch}
    )
    with trainer.strategy.scope():
        trainer.train(tf.constant(1))
        rate = trainer.train(tf.constant(steps))["pairs_per_second"]
    trainer.close()
    return rate


if __name__ == "__main__":
    main()
