"""Warm-up requests, which a server runs before a new version answers.

The first run of each shape is slow, because kernels are selected and memory is
allocated; with these records that happens before requests arrive. The file is a
TFRecord of `tensorflow.serving.PredictionLog`. Only length-delimited fields of that
message are needed, so they are written here and the export does not depend on
`tensorflow-serving-api`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rejoinder.corpus import tfrecord
from rejoinder.corpus.varint import encode_varint

# The path that TensorFlow Serving reads.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_ROWS = 2


def write_warmup(
    folder: Path, *, name: str, widths: Sequence[int], bos_id: int, eos_id: int
) -> int:
    """Writes one record per signature and bucket width into a SavedModel folder.

    Args:
        folder: The SavedModel.
        name: Model name in the records.
        widths: Bucket widths in tokens.
        bos_id: First id of a row.
        eos_id: Last id of a row; it also fills the row, because any word warms up.

    Returns:
        The number of records.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    records = list(_records(name, widths, bos_id, eos_id))
    path.write_bytes(tfrecord.frame(records))
    return len(records)


def _records(name: str, widths: Sequence[int], bos_id: int, eos_id: int) -> Iterator[bytes]:
    for width in widths:
        # One token per word, known or not, plus the two ends.
        texts = np.array([" ".join("a" * max(1, width - 2))] * _ROWS, object)
        for signature in ("serving_default", "encode_context", "encode_response", "tokenize"):
            yield prediction_log(name, signature, {"text": texts})
        yield prediction_log(name, "encode_multi_context", {"text": texts, "extra_contexts": texts})
        yield prediction_log(name, "score", {"context": texts, "response": texts})
        token_ids = np.full([_ROWS, width], eos_id, np.int32)
        token_ids[:, 0] = bos_id
        yield prediction_log(name, "encode_tokens", {"token_ids": token_ids})


def prediction_log(name: str, signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """Returns a serialized PredictionLog whose only content is a PredictRequest.

    Field numbers: PredictionLog.predict_log 6, PredictLog.request 1,
    PredictRequest.model_spec 1 and inputs 2 (map: key 1, value 2), ModelSpec.name 1
    and signature_name 3.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, array in inputs.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        request += _field(2, _field(1, key.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, payload: bytes) -> bytes:
    """Encodes a length-delimited protobuf field."""
    return encode_varint(number << 3 | 2) + encode_varint(len(payload)) + payload
