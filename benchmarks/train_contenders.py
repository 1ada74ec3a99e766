"""One contender of `benchmarks.train`: reads a number of steps per input line and trains them.

    python -m benchmarks.train_contenders packed --corpus CORPUS --model FOLDER

Prints {"ready": true} and then, for each number of steps read, one JSON line with the result.
It waits between two lines, so that contenders can take turns on one machine.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rejoinder.trainer.loop import Trainer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CONTENDERS = {
    "packed": "ours, packed rows",
    "padded": "ours, padded to 128",
    "peer": "sentence-transformers",
    "peer_compiled": "sentence-transformers, torch.compile",
}
LEARNING_RATE, EPSILON, CLIP, WARMUP, SCALE = 2e-5, 1e-6, 1.0, 500, 20.0
# Short rows make attention cheap, several row counts keep rows full.
ROW_LENGTH, ROW_COUNTS = 64, 4


def main() -> None:
    """Trains the requested steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), required=True)
    arguments = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries must not mix with the replies

    def turns() -> Iterator[int]:
        print(json.dumps({"ready": True}), file=replies, flush=True)
        for line in sys.stdin:
            yield int(line)

    def reply(result: dict[str, float]) -> None:
        print(json.dumps(result), file=replies, flush=True)

    (peer if arguments.contender.startswith("peer") else ours)(arguments, turns(), reply)


def ours(arguments: argparse.Namespace, turns: Iterator[int], reply) -> None:
    """Trains with our trainer, including its data pipeline."""
    import tensorflow as tf
    import tf_keras

    layout = {
        "packed": {
            "task.train_data.layout": "packed",
            "task.train_data.row_length": ROW_LENGTH,
            "task.train_data.row_counts": ROW_COUNTS,
        },
        "padded": {"task.train_data.layout": "padded"},
    }[arguments.contender]
    if arguments.precision == "bfloat16":
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    trainer = build_trainer(
        {
            "task.model.init_from": arguments.model,
            "task.loss.symmetric": False,
            "task.loss.scale": SCALE,
            "task.train_data.input_path": arguments.corpus,
            "task.train_data.global_batch_size": arguments.batch,
            "task.train_data.shuffle": False,
            "task.train_data.prefetch": 1,
            **layout,
        }
    )
    with trainer.strategy.scope():
        warm_up(trainer)
        trainer.task.initialize(trainer.model)
        for steps in turns:
            began = time.perf_counter()
            logs = trainer.train(tf.constant(steps))
            seconds = time.perf_counter() - began
            tokens = logs["tokens_per_second"] / logs["pairs_per_second"] * arguments.batch * steps
            reply(
                {
                    "seconds": seconds,
                    "tokens": tokens,
                    "real_tokens": logs["real_tokens"],
                    "loss": logs["training_loss"],
                }
            )
    trainer.close()


def build_trainer(values: dict[str, Any]) -> "Trainer":
    """Returns our trainer under `values` of dotted configuration keys, on one CPU device."""
    import tensorflow as tf

    from rejoinder.trainer.loop import Trainer
    from rejoinder.trainer.run import open_run
    from rejoinder.trainer.settings.resolve import read_config
    from rejoinder.trainer.task import DualEncoderTask

    config = read_config([], "", values)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    run = open_run(config, tempfile.mkdtemp(), mode="train", strategy=strategy)
    with strategy.scope():
        return Trainer(run, DualEncoderTask(run))


def warm_up(trainer: "Trainer") -> None:
    """Runs one batch of each shape among the first, so that no turn compiles a step."""
    from rejoinder.trainer.data.prefetch import Prefetcher

    prefetcher = Prefetcher(trainer.train_input, trainer.strategy, last=40, prefetch=1)
    shapes = set()
    for batch in prefetcher:
        shape = batch.host_batch.replicas[0]["token_ids"].shape
        if shape not in shapes:
            shapes.add(shape)
            trainer._compiled_step(batch.inputs)
    prefetcher.close()
    trainer.global_step.assign(0)
    trainer.optimizer.iterations.assign(0)


def peer(arguments: argparse.Namespace, turns: Iterator[int], reply) -> None:
    """Trains with sentence-transformers' own trainer on the same pairs in the same order.

    Of its batch samplers the plain one costs least, and none groups by length
    (`get_batch_sampler` overrides transformers' `group_by_length`); every column of
    a batch is padded to its longest text.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    contexts, responses = read_texts(arguments.corpus, 200 * arguments.batch)
    dataset = Dataset.from_dict({"anchor": contexts, "positive": responses})
    model = SentenceTransformer(arguments.model, device="cpu")
    model.max_seq_length = 128
    work = {"tokens": 0, "places": 0}

    def in_order(dataset, batch_size, drop_last, **_):
        return DefaultBatchSampler(
            SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last
        )

    class Loss(MultipleNegativesRankingLoss):
        def forward(self, sentence_features, labels):
            for features in sentence_features:
                work["tokens"] += int(features["attention_mask"].sum())
                work["places"] += features["attention_mask"].numel()
            return super().forward(sentence_features, labels)

    class Turns(TrainerCallback):
        """Waits for the next turn after the last step of one."""

        def on_train_begin(self, args, state, control, **_):
            self.left = next(turns)
            self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **_):
            self.left -= 1
            if self.left:
                return
            reply(
                {
                    "seconds": time.perf_counter() - self.began,
                    "tokens": work["tokens"],
                    "real_tokens": work["tokens"] / max(work["places"], 1),
                }
            )
            work.update(tokens=0, places=0)
            self.left = next(turns, 0)
            control.should_training_stop = not self.left
            self.began = time.perf_counter()

    settings = SentenceTransformerTrainingArguments(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=arguments.precision == "bfloat16",
        per_device_train_batch_size=arguments.batch,
        learning_rate=LEARNING_RATE,
        adam_epsilon=EPSILON,
        max_grad_norm=CLIP,
        warmup_steps=WARMUP,
        num_train_epochs=1,
        batch_sampler=in_order,
        dataloader_num_workers=0,
        torch_compile=arguments.contender == "peer_compiled",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    torch.set_num_threads(os.cpu_count() or 1)
    SentenceTransformerTrainer(
        model=model,
        args=settings,
        train_dataset=dataset,
        loss=Loss(model, scale=SCALE),
        callbacks=[Turns()],
    ).train()


def read_texts(folder: str, count: int) -> tuple[list[str], list[str]]:
    """Returns the first contexts and responses of the training split, in the corpus' order."""
    import tensorflow as tf

    from rejoinder.corpus.manifest import load_manifest

    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("context", "response")}
    files = [f"{folder}/{shard.name}" for shard in load_manifest(folder).splits["train"]]
    records = tf.data.TFRecordDataset(files).take(count).batch(count)
    columns = next(iter(records.map(lambda batch: tf.io.parse_example(batch, spec))))
    contexts, responses = (
        [text.decode() for text in columns[name].numpy()] for name in ("context", "response")
    )
    return contexts, responses


if __name__ == "__main__":
    main()
