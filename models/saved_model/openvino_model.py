"""The encoder as an OpenVINO model, in an export's `assets.extra/openvino/`.

OpenVINO is faster than TensorFlow on CPUs, and can compute with int8 weights. The model is
converted when it is exported, not when it is served: servers start in seconds, need no
folder that they can write to, and the manifest's checksums cover it. TensorFlow Serving
ignores the folder.
"""

import mmap
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder import extras

OPENVINO_FILE = "assets.extra/openvino/encoder.xml"
_INPUTS = ("token_ids", "segment_ids", "positions")


def import_openvino(user: str) -> Any:
    """Imports OpenVINO with its telemetry off.

    When it is imported, OpenVINO writes an identifier to the home folder and sends an event,
    and nncf does when it quantizes. Both work without the package that does this.

    Args:
        user: What needs OpenVINO, for the message.

    Raises:
        UserError: It is not installed.
    """
    extras.check_installed("openvino", user, module="openvino")
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def convert(encode_packed: Any) -> Any:
    """Returns the `openvino.Model` of a TensorFlow function of packed rows, in float32.

    Args:
        encode_packed: Concrete function of `ServingModule.encode_packed`.
    """
    model = import_openvino("export --openvino").convert_model(encode_packed)
    model.outputs[0].get_tensor().set_names({"embedding"})
    return model


def quantize(model: Any, rows: Sequence[NDArray[np.int32]]) -> Any:
    """Returns a copy with int8 matrix products.

    Args:
        model: From `convert`.
        rows: Token ids of typical texts, from which the ranges of activations are measured.
    """
    extras.check_installed("openvino", "export --int8")
    import nncf

    items = [dict(zip(_INPUTS, one_text_a_row([row], 0), strict=True)) for row in rows]
    return nncf.quantize(
        model,
        nncf.Dataset(items),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(items),
    )


def save(model: Any, folder: Path) -> None:
    """Writes a model into an export's folder; its weights keep their type."""
    path = folder / OPENVINO_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    import_openvino("export --openvino").save_model(model, str(path), compress_to_fp16=False)


def one_text_a_row(
    rows: Sequence[NDArray[np.int32]], pad_id: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Returns token ids, segment ids and positions, int32 [n, longest], of n texts."""
    width = max(map(len, rows))
    columns = np.arange(width, dtype=np.int32)
    real = columns < np.array([len(row) for row in rows])[:, None]
    token_ids = np.full(real.shape, pad_id, np.int32)
    token_ids[real] = np.concatenate(rows)
    return token_ids, real.astype(np.int32), np.where(real, columns, 0)


def _map(path: Path) -> mmap.mmap:
    """Maps a file into memory; what is written to the memory is not written to the file."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


class OpenVinoEncoder:
    """Embeds packed rows. Threads may call it at the same time."""

    def __init__(self, model: Any, *, bfloat16: bool, threads: int = 0, streams: int = 1):
        """Compiles a model for this processor.

        Args:
            model: An `openvino.Model`, or the path of a file from `save`.
            bfloat16: Whether to compute in bfloat16 what is not int8; otherwise in float32.
            threads: Threads of all calls together; 0 for all cores.
            streams: Calls that run at the same time.
        """
        openvino = import_openvino("serve --engine openvino")
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "NUM_STREAMS": str(streams),
            # Its threads share the cores with the server's own.
            "ENABLE_CPU_PINNING": "NO",
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        self._weights: mmap.mmap | None = None
        if isinstance(model, str):
            self._weights = _map(Path(model).with_suffix(".bin"))
            # OpenVINO wants an array that it could write to, but writes to none.
            array = np.frombuffer(self._weights, np.uint8)
            weights = openvino.Tensor(array, shared_memory=True)
            model = core.read_model(Path(model).read_bytes(), weights)
        self._compiled = core.compile_model(model, "CPU", options)
        self._local = threading.local()

    def release_weights(self) -> None:
        """Frees the memory of the weights' file, once an inference has read the weights.

        Most are then in another form in OpenVINO's own memory. A part that is needed again, such
        as a token's embedding, is read from the file again.
        """
        if self._weights is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._weights.madvise(mmap.MADV_DONTNEED)

    def __call__(
        self,
        token_ids: NDArray[np.int32],
        segment_ids: NDArray[np.int32],
        positions: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Embeds rows.

        Args:
            token_ids: int32 [b, s].
            segment_ids: int32 [b, s], 0 for padding.
            positions: int32 [b, s].

        Returns:
            float32 [b, k, d], valid until this thread's next call.
        """
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        request = self._local.request
        request.infer(
            dict(zip(_INPUTS, (token_ids, segment_ids, positions), strict=True)), share_inputs=True
        )
        embeddings: NDArray[np.float32] = request.get_output_tensor(0).data
        return embeddings
