"""Trains a small encoder on a file of pairs and ranks answers to a question with it.

    python examples/train_on_pairs.py --pairs examples/pairs.jsonl --output out/example

Each line of the file is {"context": "…", "response": "…"}. The steps are the
commands that a user types, then `Encoder` on the trained model.
"""

import argparse
import json
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

CONFIG = files("rejoinder") / "configs" / "quickstart.yaml"


def rejoinder(*arguments: object) -> None:
    """Runs `rejoinder ARGUMENTS` and stops if it fails."""
    command = ["rejoinder", *map(str, arguments)]
    print(f"$ {shlex.join(command)}", flush=True)
    status = subprocess.run([sys.executable, "-m", *command], check=False).returncode
    if status:
        sys.exit(f"error: the command above ended with status {status}")


def main() -> None:
    """Makes a corpus of the pairs, trains on it, and prints the ranking of five answers."""
    parser = argparse.ArgumentParser(description="Train a small encoder on a file of pairs.")
    parser.add_argument("--pairs", type=Path, required=True, help="JSON lines of pairs")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, must be new")
    parser.add_argument("--steps", type=int, default=100, help="training steps (%(default)s)")
    arguments = parser.parse_args()
    tokenizer, corpus, model = (arguments.output / name for name in ("tokenizer", "corpus", "run"))

    rejoinder(
        *("vocab", "--input", arguments.pairs, "--field", "response"),
        *("--size", 1000, "--output", tokenizer),
    )
    rejoinder("pairs", "--input", arguments.pairs, "--tokenizer", tokenizer, "--output", corpus)
    overrides = (
        f"trainer.train_steps={arguments.steps},task.train_data.global_batch_size=32,"
        f"trainer.optimizer_config.warmup.linear.warmup_steps={arguments.steps // 5}"
    )
    rejoinder(
        *("train", "--config", CONFIG, "--params-override", overrides, "--mode", "train"),
        *("--corpus", corpus, "--model-dir", model),
    )

    from rejoinder import Encoder

    with arguments.pairs.open(encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    question = pairs[0]["context"]
    answers = list(dict.fromkeys(pair["response"] for pair in pairs))[:5]
    encoder = Encoder.load(model)
    cosines = encoder.encode(answers) @ encoder.encode(question)
    print(f"\n{question}")
    for cosine, answer in sorted(zip(cosines, answers, strict=True), reverse=True):
        print(f"  {cosine:5.2f}  {answer}")
    print(f"wrote {model}; next: rejoinder export --model {model} --output {model}/export")


if __name__ == "__main__":
    main()
