"""Limits on what one client, or all clients together, can make the server do."""

import os
from dataclasses import dataclass

# Enough for each core to run its matrix products at full rate. Twice as many gave no
# more throughput on two cores, and every text of a batch waits for the whole batch.
_BATCH_TOKENS = min(256 * len(os.sched_getaffinity(0)), 16_384)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits; each one is an option of the command line.

    Attributes:
        max_body_bytes: Bytes of one request body, HTTP and gRPC.
        max_inflight_bytes: Bytes of the bodies of all requests in progress.
        max_items: Texts (or rows of token ids) of one request.
        max_characters: Code points of one text. Only the first `max_length` tokens
            are encoded, but the tokenizer reads the whole text.
        max_batch_tokens: Tokens of one forward pass, without padding.
        max_queue_tokens: Tokens of all requests that wait for a forward pass.
        max_queue_seconds: Expected wait above which a request is refused with 429.
        max_connections: Open HTTP connections; further ones are closed at once.
        header_seconds: From the connection (or the last response) to the end of the headers.
        body_seconds: From the end of the headers to the end of the body.
        request_seconds: From the end of the body to the response.
        send_seconds: For the client to receive the response.
        keep_alive_seconds: Idle time before a kept connection is closed.
        drain_seconds: For running requests to finish at shutdown.
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
