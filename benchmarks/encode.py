"""Compares sentences per second of our encoder and sentence-transformers, in one run.

    python benchmarks/encode.py --model ~/.cache/rejoinder/all-mpnet-base-v2 \
        --texts ../shared/data/reddit_dumps/RC_2015-derived.zst --field body

Each runner is a separate process that loads the model once. The runners take turns, so
that a change in the machine's speed affects all of them. sentence-transformers first
searches its best batch size. The floor is the time that the matrix products of the real
tokens would take at the machine's measured rate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

PEER_BATCHES = (8, 16, 32, 64)
RUNNERS = (
    *("ours float32", "ours bfloat16", "ours openvino float32", "ours openvino bfloat16"),
    *("torch float32", "torch bfloat16", "onnx float32", "openvino float32", "openvino bfloat16"),
)
# Peers whose packages are older than this project's.
_OTHER_PYTHON = ("onnx", "openvino")


def load_texts(args: argparse.Namespace) -> list[str]:
    """Returns the first texts with a length in the training filter's range."""
    from rejoinder.pipelines.dumps.texts import TextSummary, read_texts

    texts = []
    for text in read_texts(args.texts, args.field, TextSummary()):
        if args.min_chars <= len(text) <= args.max_chars:
            texts.append(text)
            if len(texts) == args.count:
                break
    return texts


def work(name: str, args: argparse.Namespace) -> None:
    """Loads one runner, then answers each line of input with a round's result."""
    import numpy as np

    texts = load_texts(args)
    clock = time.process_time if args.cpu_seconds else time.perf_counter
    try:
        if name.startswith("ours openvino"):
            encode, batch, tokens = load_our_openvino(name, args)
        elif name.startswith("ours"):
            encode, batch, tokens = load_ours(name, args, texts)
        else:
            encode, batch, tokens = load_peer(name, args, texts)
    except ImportError as error:
        print(json.dumps({"missing": str(error).splitlines()[0]}), flush=True)
        return
    encode(texts[:64])
    print(json.dumps({"batch": batch, "tokens": tokens, "texts": len(texts)}), flush=True)
    for line in sys.stdin:
        if line.strip() == "rate":
            print(json.dumps(matmul_rates(clock)), flush=True)
            continue
        start = clock()
        embeddings = encode(texts)
        seconds = clock() - start
        if line.strip():
            np.save(line.strip(), embeddings)
        print(json.dumps({"seconds": seconds}), flush=True)


def load_ours(name: str, args: argparse.Namespace, texts: list[str]):
    """Returns our encode function, no batch size, and the number of real tokens."""
    import tensorflow as tf

    from rejoinder.models.encoder import Encoder
    from rejoinder.models.tokenizer import Tokenizer

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    encoder = Encoder.load(args.model, precision=name.split()[1], max_length=args.max_length)
    tokens = Tokenizer.from_folder(args.model)(tf.constant(texts), args.max_length).num_tokens
    return encoder.encode, None, int(tf.reduce_sum(tokens))


def load_our_openvino(name: str, args: argparse.Namespace):
    """Returns the encode function of the server's OpenVINO engine, without the server."""
    from pathlib import Path

    import numpy as np

    from rejoinder.models.embedders import STEP_TOKENS, cut_steps
    from rejoinder.serving.engine.model_version import ModelVersion
    from rejoinder.serving.engine_options import EngineOptions

    if not args.export:
        raise ImportError("--export names no export made with --openvino")
    options = EngineOptions("openvino", name.split()[-1], threads=args.threads)
    version = ModelVersion(Path(args.export), options)

    def encode(texts):
        rows, _ = version.tokenize([text.encode() for text in texts])
        rows = [row[: args.max_length] for row in rows]
        lengths = np.array([len(row) for row in rows])
        result = np.empty([len(rows), version.manifest.dimension], np.float32)
        for step in cut_steps(lengths, np.argsort(-lengths, kind="stable"), STEP_TOKENS // 16):
            result[step] = version.encode([rows[i] for i in step])[0]
        return result

    return encode, None, None


def load_peer(name: str, args: argparse.Namespace, texts: list[str]):
    """Returns sentence-transformers' encode function at its best batch size."""
    import contextlib

    import torch
    from sentence_transformers import SentenceTransformer

    if name.startswith("onnx"):
        import optimum.onnxruntime
    if name.startswith("openvino"):
        sys.modules["openvino_telemetry"] = None  # reports its use to its makers
        import optimum.intel  # noqa: F401
    torch.set_num_threads(args.threads)
    backend, precision = name.split()
    options = {}
    if backend == "openvino":
        hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32"}
        options["model_kwargs"] = {
            "ov_config": {**hints, "INFERENCE_NUM_THREADS": str(args.threads)}
        }
    path = os.path.expanduser(args.model)
    model = SentenceTransformer(path, device="cpu", backend=backend, **options)
    model.max_seq_length = args.max_length
    half = name == "torch bfloat16"

    def encode(texts, batch_size=None):
        cast = torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext()
        with cast, torch.inference_mode():
            result = model.encode(texts, batch_size=batch_size or best, convert_to_tensor=True)
        return result.float().numpy()

    clock = time.process_time if args.cpu_seconds else time.perf_counter
    best, fastest = PEER_BATCHES[0], float("inf")
    sample = texts[: args.sample]
    encode(sample[:16])
    for batch_size in PEER_BATCHES:
        start = clock()
        encode(sample, batch_size)
        if (seconds := clock() - start) < fastest:
            best, fastest = batch_size, seconds
    return encode, best, None


def matmul_rates(clock: Callable[[], float]) -> dict[str, float]:
    """Returns the best rate of matrix products of the model's shape, FLOP a second of `clock`."""
    import tensorflow as tf

    rates = {}
    for dtype in (tf.float32, tf.bfloat16):
        left = tf.cast(tf.random.normal([2048, 768]), dtype)
        right = tf.cast(tf.random.normal([768, 3072]), dtype)
        product = tf.function(lambda a, b: tf.matmul(a, b))
        product(left, right)
        best = float("inf")
        for _ in range(20):
            start = clock()
            product(left, right).numpy()
            best = min(best, clock() - start)
        rates[dtype.name] = 2 * 2048 * 768 * 3072 / best
    return rates


class Runner:
    """A worker process and its results."""

    def __init__(self, name: str, python: str, arguments: list[str]):
        environment = os.environ | {
            "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self.name = name
        self.seconds: list[float] = []
        self.process = subprocess.Popen(
            [python, __file__, *arguments, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.info = self._read()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            return {"missing": f"the worker ended with status {self.process.wait()}"}
        return json.loads(line)

    def ask(self, line: str) -> dict:
        """Sends one line to the worker and returns its answer."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._read()


def flops_per_token(model: str) -> int:
    """Returns the floating point operations of a token's matrix products with weights."""
    from rejoinder.models.mpnet import MPNetConfig

    config = MPNetConfig.from_folder(os.path.expanduser(model))
    hidden = config.hidden_size
    return 4 * config.num_hidden_layers * hidden * (2 * hidden + config.intermediate_size)


def report(
    runners: list[Runner], rates: dict[str, float], flops: int, args: argparse.Namespace
) -> None:
    """Prints the table."""
    info = runners[0].info
    texts, tokens = info["texts"], info["tokens"]
    print(
        f"{texts} texts of {tokens / texts:.1f} tokens on average, {args.threads} threads; matrix"
    )
    print(f"products {rates['float32'] / 1e9:.0f} GFLOP/s float32,", end=" ")
    print(f"{rates['bfloat16'] / 1e9:.0f} bfloat16; load average {os.getloadavg()[0]:.1f}\n")
    second = "CPU second" if args.cpu_seconds else "second"
    print(f"| runner | batch | sentences a {second} | of the floor | beside torch |")
    print("| --- | --- | --- | --- | --- |")
    speed = {runner.name: texts / min(runner.seconds) for runner in runners if runner.seconds}
    for runner in runners:
        if "missing" in runner.info:
            print(f"| {runner.name} | not measured: {runner.info['missing']} | | | |")
            continue
        precision = runner.name.split()[-1]
        floor = rates[precision] / flops / (tokens / texts)
        rate, middle = speed[runner.name], texts / statistics.median(runner.seconds)
        ratio = rate / speed[f"torch {precision}"] if f"torch {precision}" in speed else 0
        print(
            f"| {runner.name} | {runner.info['batch'] or 'by length'} "
            f"| {rate:.1f} best, {middle:.1f} median | {rate / floor:.0%} of {floor:.0f} "
            f"| {ratio:.2f}x |"
        )


def main() -> None:
    """Starts the runners, lets them take turns and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="sentence-transformers folder")
    parser.add_argument("--texts", required=True, help="text or NDJSON file")
    parser.add_argument("--field", help="JSON field with the text")
    parser.add_argument("--count", type=int, default=512, help="texts a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=128, help="tokens kept of a text")
    parser.add_argument("--sample", type=int, default=128, help="texts to find a batch size with")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--cpu-seconds",
        action="store_true",
        help="count CPU seconds; with --threads 1, other work on the machine matters less",
    )
    parser.add_argument("--min-chars", type=int, default=9)
    parser.add_argument("--max-chars", type=int, default=127)
    parser.add_argument("--runners", nargs="+", default=list(RUNNERS), choices=RUNNERS)
    parser.add_argument(
        "--peers-python",
        default=sys.executable,
        metavar="PATH",
        help="Python of `make setup-serve-peers`, for ONNX Runtime and OpenVINO behind"
        " sentence-transformers, which ask for an older transformers than this project",
    )
    parser.add_argument(
        "--export", metavar="FOLDER", help="version made with `export --openvino`, for ours"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args)
        return
    import tempfile

    import numpy as np

    runners = [
        Runner(
            name,
            args.peers_python if name.startswith(_OTHER_PYTHON) else sys.executable,
            sys.argv[1:],
        )
        for name in args.runners
    ]
    present = [runner for runner in runners if "missing" not in runner.info]
    with tempfile.TemporaryDirectory() as folder:
        rates: dict[str, float] = {}
        for number in range(args.rounds):
            measured = present[0].ask("rate")
            rates = {name: max(rate, rates.get(name, 0)) for name, rate in measured.items()}
            for runner in present:
                file = f"{folder}/{runner.name}.npy" if number == 0 else ""
                runner.seconds.append(runner.ask(file)["seconds"])
        report(runners, rates, flops_per_token(args.model), args)
        first = np.load(f"{folder}/{present[0].name}.npy")
        for runner in present[1:]:
            other = np.load(f"{folder}/{runner.name}.npy")
            cosine = (first * other).sum(1) / np.linalg.norm(other, axis=1)
            print(f"\ncosine of {runner.name} to {present[0].name}: at least {cosine.min():.6f}")


if __name__ == "__main__":
    main()
