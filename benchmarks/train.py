"""Training throughput on real pairs: ours, ours padded to 128, and sentence-transformers.

    python -m benchmarks.train --corpus CORPUS [--model FOLDER] [--batch 64] [--rounds 3] \
      [--precision float32 bfloat16] [--contenders packed peer]

The corpus must contain texts (--keep-text). Every contender runs in its own process and uses both
cores during its turn. All use the same weights (a sentence-transformers folder), pairs, order,
batch size, loss (one direction, scale 20), dropout, AdamW and clip. After a warm-up they take
turns, `--rounds` times; the rate is the median of a contender's turns. The limit is the rate at
which this machine could do only the matrix products of the real tokens, measured with a product of
the model's size in the same precision. A table then adds up the fastest step that is possible with
the packed rows of the first contender (`benchmarks.train_possible`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.train_contenders import CLIP, CONTENDERS, EPSILON, LEARNING_RATE, ROW_LENGTH

_WARM_UP = 2  # steps before the first turn


def main() -> None:
    """Runs the contenders in turns and prints their rates and the limit."""
    local = os.environ.get(
        "REJOINDER_MPNET", str(Path.home() / ".cache/rejoinder/all-mpnet-base-v2")
    )
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model", default=local)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="of one turn (%(default)s)")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--contenders", nargs="+", default=["packed", "peer"], choices=CONTENDERS)
    arguments = parser.parse_args()
    for precision in arguments.precision:
        report(precision, take_turns(arguments, precision), arguments)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def take_turns(arguments: argparse.Namespace, precision: str) -> dict[str, list[dict]]:
    """Returns the results of each contender, one for each turn."""
    processes = {}
    for name in arguments.contenders:
        command = [sys.executable, "-m", "benchmarks.train_contenders", name]
        command += ["--corpus", arguments.corpus, "--model", arguments.model]
        command += ["--batch", str(arguments.batch), "--precision", precision]
        processes[name] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        answer(processes[name], name)  # ready, so that the next one loads alone
        turn(processes[name], name, _WARM_UP)
    results: dict[str, list[dict]] = {name: [] for name in processes}
    for _ in range(arguments.rounds):
        for name, process in processes.items():
            results[name].append(turn(process, name, arguments.steps))
    for process in processes.values():
        process.kill()
        process.communicate()
    return results


def turn(process: subprocess.Popen, name: str, steps: int) -> dict:
    """Lets a contender train `steps` steps and returns its result."""
    assert process.stdin is not None
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    return answer(process, name)


def answer(process: subprocess.Popen, name: str) -> dict:
    """Returns a contender's next reply."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name}: ended with status {process.wait()}; run it alone to see why")
    return json.loads(line)


def report(precision: str, results: dict[str, list[dict]], arguments: argparse.Namespace) -> None:
    """Prints the rates, the limit and the ratios of one precision."""
    pairs = arguments.batch * arguments.steps
    rates = {
        name: statistics.median(pairs / result["seconds"] for result in turns)
        for name, turns in results.items()
    }
    print(f"\n{precision}, batches of {arguments.batch}, median of {arguments.rounds} turns (each)")
    for name, turns in results.items():
        spread = sorted(pairs / result["seconds"] for result in turns)
        real = statistics.mean(result["real_tokens"] for result in turns)
        print(
            f"{CONTENDERS[name]:<38} {rates[name]:>7.2f} pairs/s "
            f"({', '.join(f'{rate:.2f}' for rate in spread)}), {real:.1%} real tokens"
        )
    first = next(iter(results))
    tokens = statistics.mean(result["tokens"] for result in results[first]) / pairs
    limit, rate = limit_pairs_per_second(tokens, precision, arguments.model)
    name = f"the limit, at {rate / 1e9:,.0f} GFLOP/s"
    print(f"{name:<38} {limit:>7.2f} pairs/s, {tokens:.1f} tokens to a pair")
    for name in list(results)[1:]:
        print(f"{rates[first] / rates[name]:.2f} times {CONTENDERS[name]}")
    print(f"{rates[first] / limit:.0%} of the limit")
    if first == "packed":
        real = statistics.mean(result["real_tokens"] for result in results[first])
        rows = round(arguments.batch * tokens / real / ROW_LENGTH)
        report_possible(precision, rows, arguments, rates[first], limit)


def report_possible(
    precision: str, rows: int, arguments: argparse.Namespace, rate: float, limit: float
) -> None:
    """Prints the parts of the fastest possible step, and two rates as shares of it."""
    from benchmarks.train_possible import possible_step
    from rejoinder.models.mpnet import MPNetConfig

    config = MPNetConfig.from_folder(arguments.model)
    step = possible_step(config, rows, ROW_LENGTH, precision, update_seconds(arguments.model))
    between = f"{step.moved / 1e9:.2f} GB between the products at {step.bandwidth / 1e9:.1f} GB/s"
    parts = {
        "products with weights, padding too": step.dense,
        "products of attention": step.attention,
        between: step.between,
        "update of the weights": step.update,
        "the fastest possible step": step.seconds,
        "our step": arguments.batch / rate,
    }
    print(f"{rows} rows of {ROW_LENGTH} tokens:")
    for name, seconds in parts.items():
        print(f"{name:<42} {seconds:>7.3f} s {seconds / step.seconds:>6.0%}")
    possible = arguments.batch / step.seconds
    print(f"{possible:.2f} pairs/s are possible, {possible / limit:.0%} of the limit", flush=True)
    print(f"ours has {rate / possible:.0%} of them", flush=True)


def limit_pairs_per_second(tokens: float, precision: str, model: str) -> tuple[float, float]:
    """Returns the pairs/s of the real tokens' matrix products alone, and the rate in FLOP/s."""
    import tensorflow as tf

    from rejoinder.models.mpnet import MPNetConfig
    from rejoinder.trainer.estimate import step_flops

    config = MPNetConfig.from_folder(model)
    hidden, inner = config.hidden_size, config.intermediate_size
    weights = config.num_hidden_layers * (4 * hidden * hidden + 2 * hidden * inner)
    # A sentence attends to itself: its own length, half a pair's, is its row.
    row = int(tokens / 2)
    flops = step_flops(weights, 1, row, hidden, config.num_hidden_layers) * tokens
    left = tf.cast(tf.random.normal([4 * hidden, hidden]), precision)
    right = tf.cast(tf.random.normal([hidden, inner]), precision)
    product = tf.function(lambda: tf.matmul(left, right)[:1, :1])
    product().numpy()
    times = []
    for _ in range(20):
        began = time.perf_counter()
        product().numpy()
        times.append(time.perf_counter() - began)
    rate = 2.0 * 4 * hidden * hidden * inner / min(times)
    return rate / flops, rate


def update_seconds(model: str) -> float:
    """Returns the seconds that one update of all weights takes: norm, clip and AdamW."""
    import tensorflow as tf

    from rejoinder.models.mpnet import MPNetConfig

    config = MPNetConfig.from_folder(model)
    hidden = config.hidden_size
    layer = 4 * hidden * hidden + 2 * hidden * config.intermediate_size
    tables = (config.vocab_size + config.max_position_embeddings) * hidden
    # As the trainer does, in several variables, so that both cores can be busy.
    sizes = [tables] + [layer] * config.num_hidden_layers
    slots = [[tf.Variable(tf.zeros([size])) for _ in range(3)] for size in sizes]
    gradients = [tf.random.normal([size]) for size in sizes]

    @tf.function
    def update() -> None:
        clipped, _ = tf.clip_by_global_norm(gradients, CLIP)
        for (weights, first, second), gradient in zip(slots, clipped, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weights.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=0.9,
                beta2_power=0.999,
                lr=LEARNING_RATE,
                beta1=0.9,
                beta2=0.999,
                epsilon=EPSILON,
                grad=gradient,
            )

    update()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        update()
        slots[0][0][0].numpy()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
