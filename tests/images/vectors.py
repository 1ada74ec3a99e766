"""Compares a server's vectors with the export's: `vectors.py EXPORT URL`.

The export is loaded on this machine, in an environment that is not the image's.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

TEXTS = ["How are you?", "", "Nice weather today", "a " * 200, "Zürich 東京 🙂"]


def ask(url: str) -> np.ndarray:
    """Returns the server's vectors, float32 [n, d]."""
    body = json.dumps({"instances": TEXTS}).encode()
    with urllib.request.urlopen(f"{url}/v1/models/encoder:predict", body, timeout=60) as response:
        answers = json.load(response)["predictions"]
    return np.array([answer["embedding"] for answer in answers], np.float32)


def wait_until_ready(url: str, seconds: float = 120) -> float:
    """Returns the seconds until the server accepts requests."""
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        try:
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
            return time.monotonic() - start
        except OSError:
            time.sleep(0.2)
    sys.exit(f"error: {url}: not ready within {seconds:.0f} s")


def main() -> None:
    """Prints the largest difference; exits with status 1 if it is not that of rounding."""
    folder, url = sys.argv[1:]
    ready = wait_until_ready(url)
    served = ask(url)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    (version,) = Path(folder).glob("[0-9]*")
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    expected = signature(text=tf.constant(TEXTS))["embedding"].numpy()
    worst = float(np.abs(served - expected).max())
    print(f"ready after {ready:.1f} s; largest difference of {served.size:,} numbers {worst:.1e}")
    sys.exit(served.shape != expected.shape or worst > 1e-5)


if __name__ == "__main__":
    main()
