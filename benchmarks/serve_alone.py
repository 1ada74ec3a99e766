r"""An engine without a server: the least time of a request.

    python -m benchmarks.serve_alone ours --model out/export/encoder --engine openvino
    python -m benchmarks.serve_alone peer --model FOLDER --precision bfloat16

Tokenized texts are embedded one after another. For each line of standard input, a JSON list of
texts, a line with the seconds of each text is printed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("who", choices=["ours", "peer"])
    parser.add_argument("--model", required=True, help="base of an export, or a model's folder")
    parser.add_argument("--engine", default="openvino", help="ours: tensorflow or openvino")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    prepare = _ours(args) if args.who == "ours" else _peer(args)
    prepare("warm up")()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps([_seconds(prepare(text)) for text in json.loads(line)]), flush=True)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _ours(args: argparse.Namespace) -> Callable[[str], Callable[[], Any]]:
    """Returns what tokenizes a text and returns the call that embeds it."""
    from rejoinder.models.saved_model.publish import versions
    from rejoinder.serving.engine.model_version import ModelVersion
    from rejoinder.serving.engine_options import EngineOptions

    folder = Path(args.model) / str(max(versions(args.model)))
    version = ModelVersion(folder, EngineOptions(args.engine, args.precision))

    def prepare(text: str) -> Callable[[], Any]:
        rows, _ = version.tokenize([text.encode()])
        return lambda: version.encode(rows)

    return prepare


def _peer(args: argparse.Namespace) -> Callable[[str], Callable[[], Any]]:
    """Returns what tokenizes a text and returns the call that embeds it."""
    from benchmarks.serve_peer import load

    model = load(args.model, "openvino", args.precision)

    def prepare(text: str) -> Callable[[], Any]:
        features = model.tokenize([text])
        return lambda: model(features)

    return prepare


if __name__ == "__main__":
    main()
