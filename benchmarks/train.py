"""Training throughput on real pairs: ours, ours padded to 128, and sentence-transformers.

    python -m benchmarks.train --data CORPUS [--batch 64] [--steps 5] [--precision float32]

The corpus must carry texts (--keep-text). Every contender has a process of its
own, the same mpnet-base-shaped random weights (`--layers` of them), the same
pairs and batch size, and both cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CONTENDERS = ("ours packed", "ours padded to 128", "sentence-transformers")


def main() -> None:
    """Runs the contenders and prints their rates and the floor by FLOPs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        result = peer(arguments) if "sentence" in arguments.contender else ours(arguments)
        print(json.dumps(result))
        return
    results = {}
    for name in CONTENDERS:
        command = [sys.executable, "-m", "benchmarks.train", *sys.argv[1:], "--contender", name]
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[name] = json.loads(made.stdout.splitlines()[-1])
    for name, result in results.items():
        line = f"{name:<24} {result['pairs_per_second']:>8.2f} pairs/s"
        if "real_tokens" in result:
            line += f"  {result['real_tokens']:.1%} real tokens"
            line += f"  floor {result['floor_pairs_per_second']:.2f} pairs/s"
        print(line)
    packed = results["ours packed"]["pairs_per_second"]
    for name in CONTENDERS[1:]:
        print(f"{packed / results[name]['pairs_per_second']:.2f} times {name}")
    print(f"{arguments.precision}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the rate of our training step, feed included."""
    import math

    import tensorflow as tf
    import tf_keras

    from trainer import initialization
    from trainer.data.sources import open_corpora
    from trainer.estimate import matrix_rate, step_flops
    from trainer.experiment import read_config
    from trainer.loop import Trainer
    from trainer.task import DualEncoder

    config = read_config(
        "repartee/dual_encoder",
        [],
        "",
        {
            "task.train_data.input_path": arguments.data,
            "task.train_data.global_batch_size": arguments.batch,
            "task.train_data.layout": "padded" if "padded" in arguments.contender else "packed",
            "task.model.num_hidden_layers": arguments.layers,
        },
    )
    if arguments.precision == "bfloat16":
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    corpora = open_corpora(config.task.train_data, "data")
    base = initialization.find_base(config.task.model, corpora)
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        task = DualEncoder(config.task, base, 1.0)
        trainer = Trainer(config, task, train=True, evaluate=False)
        trainer.train(tf.constant(2))
        began = time.perf_counter()
        logs = trainer.train(tf.constant(arguments.steps))
        seconds = time.perf_counter() - began
    trainer.close()
    weights = sum(math.prod(v.shape) for v in trainer.model.trainable_variables)
    weights -= math.prod(trainer.model.mpnet.word_embeddings.shape)
    real = logs["tokens_per_second"] / logs["pairs_per_second"] * arguments.batch
    flops = step_flops(weights, int(real), 24, 768, arguments.layers)
    return {
        "pairs_per_second": arguments.steps * arguments.batch / seconds,
        "real_tokens": logs["real_tokens"],
        # As if only real tokens were computed, at this machine's float32 matrix rate.
        "floor_pairs_per_second": arguments.batch * matrix_rate() / flops,
    }


def peer(arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the rate of sentence-transformers' loss with torch's AdamW, padded to the batch."""
    import glob

    import tensorflow as tf
    import torch
    from sentence_transformers import SentenceTransformer, models
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import AutoTokenizer, MPNetConfig, MPNetModel

    tokenizer_folder = f"{arguments.data}/tokenizer"
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = MPNetConfig(vocab_size=len(tokenizer), num_hidden_layers=arguments.layers)
    import tempfile

    folder = tempfile.mkdtemp()
    MPNetModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformer = models.Transformer(folder, max_seq_length=128)
    pooling = models.Pooling(config.hidden_size)
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.train()
    loss_of = MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("context", "response")}
    files = sorted(glob.glob(f"{arguments.data}/train.tfrecord-*"))
    records = iter(
        tf.data.TFRecordDataset(files)
        .batch(arguments.batch)
        .map(lambda batch: tf.io.parse_example(batch, spec))
    )
    began = 0.0
    for step in range(arguments.steps + 2):
        if step == 2:
            began = time.perf_counter()
        batch = next(records)
        texts = [[t.decode() for t in batch[side].numpy()] for side in ("context", "response")]
        features = [model.tokenize(side) for side in texts]
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16"):
            loss = loss_of(features, torch.zeros(arguments.batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return {"pairs_per_second": arguments.steps * arguments.batch / (time.perf_counter() - began)}


if __name__ == "__main__":
    main()
