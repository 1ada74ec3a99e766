"""The plain peer: sentence-transformers behind FastAPI, one call of `encode` per request.

    python -m benchmarks.serve_peer --folder FOLDER --port 8600 --backend openvino

answers OpenAI's `/v1/embeddings`, with vectors in base64.
"""

import argparse
import base64
import sys
import threading
from typing import Any


def main() -> None:
    """Runs the server."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", required=True, help="sentence-transformers folder")
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--backend", choices=["torch", "openvino"], default="torch")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    import uvicorn
    from fastapi import FastAPI

    model = load(args.folder, args.backend, args.precision)
    lock = threading.Lock()  # OpenVINO's requests cannot run twice at once
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/embeddings")
    def embeddings(body: dict) -> dict:
        with lock:
            vectors = model.encode(body["input"])
        data = [
            {"object": "embedding", "index": i, "embedding": base64.b64encode(v.tobytes()).decode()}
            for i, v in enumerate(vectors)
        ]
        return {"object": "list", "data": data, "model": body.get("model")}

    uvicorn.run(app, port=args.port, log_level="warning")


def load(folder: str, backend: str, precision: str) -> Any:
    """Returns a `SentenceTransformer`.

    Args:
        folder: Its folder.
        backend: torch or openvino.
        precision: float32 or bfloat16, for OpenVINO.
    """
    options: dict[str, Any] = {}
    if backend == "openvino":
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        hint = "bf16" if precision == "bfloat16" else "f32"
        options = {"model_kwargs": {"ov_config": {"INFERENCE_PRECISION_HINT": hint}}}
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu", backend=backend, **options)


if __name__ == "__main__":
    main()
