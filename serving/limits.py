"""Every bound on what one client, or all of them together, can make the server do."""

import os
from dataclasses import dataclass

# Enough for each core to run its matrix products at full rate. Twice as many gave no
# more throughput on two cores, and every text of a batch waits for all of it.
_BATCH_TOKENS = min(256 * len(os.sched_getaffinity(0)), 16_384)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds, all overridable on the command line.

    Attributes:
        max_body_bytes: Bytes of one request body, HTTP and gRPC.
        max_inflight_bytes: Bytes of all request bodies being read or answered.
        max_items: Texts (or rows of token ids) of one request.
        max_characters: Code points of one text. Only the first `max_length` tokens
            are encoded, but the tokenizer reads them all.
        max_batch_tokens: Tokens of one forward pass, padding not counted.
        max_queue_tokens: Tokens waiting for a forward pass, over all requests.
        max_queue_seconds: Expected wait beyond which a request is refused with 429.
        max_connections: Open HTTP connections; more are closed at once.
        header_seconds: From connection (or the last answer) to the end of the headers.
        body_seconds: From the end of the headers to the end of the body.
        request_seconds: From the end of the body to the answer.
        send_seconds: For the client to take the answer.
        keep_alive_seconds: Idle time before a kept connection is closed.
        drain_seconds: At shutdown, for running requests to finish.
    """

    max_body_bytes: int = 4 * 2**20
    max_inflight_bytes: int = 256 * 2**20
    max_items: int = 1024
    max_characters: int = 32_768
    max_batch_tokens: int = _BATCH_TOKENS
    max_queue_tokens: int = 262_144
    max_queue_seconds: float = 5.0
    max_connections: int = 1000
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    send_seconds: float = 30.0
    keep_alive_seconds: int = 30
    drain_seconds: int = 30
