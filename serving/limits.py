"""Limits on what one client, or all clients together, can make the server do."""

import os
from dataclasses import dataclass, field
from typing import Any

# Enough for each core to run its matrix products at full rate. Twice as many gave no
# more throughput on two cores, and every text of a batch waits for the whole batch.
_BATCH_TOKENS = min(256 * len(os.sched_getaffinity(0)), 16_384)


def _limit(default: float, description: str) -> Any:
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits; each one is an option of the command line, which prints its description."""

    max_header_bytes: int = _limit(32 * 2**10, "bytes of a request's line and header fields")
    max_headers: int = _limit(100, "header fields of a request")
    max_body_bytes: int = _limit(4 * 2**20, "bytes of one request body, HTTP and gRPC")
    max_inflight_bytes: int = _limit(256 * 2**20, "bytes of the bodies of all running requests")
    max_items: int = _limit(2048, "texts, or rows of token ids, of one request")
    # Only the first tokens are encoded, but the tokenizer reads the whole text.
    max_characters: int = _limit(32_768, "code points of one text")
    max_batch_tokens: int = _limit(_BATCH_TOKENS, "tokens of one forward pass, without padding")
    max_queue_tokens: int = _limit(2**20, "tokens that wait for a forward pass")
    max_queue_seconds: float = _limit(5.0, "expected wait above which requests get status 429")
    max_connections: int = _limit(1000, "open HTTP connections; further ones are closed")
    header_seconds: float = _limit(10.0, "from the connection to the end of the headers")
    body_seconds: float = _limit(30.0, "from the end of the headers to the end of the body")
    request_seconds: float = _limit(60.0, "from the end of the body to the response")
    send_seconds: float = _limit(30.0, "for the client to receive the response")
    # Longer than the idle time after which proxies close their connections (60 s by default).
    keep_alive_seconds: int = _limit(75, "idle time after which a connection is closed")
    drain_seconds: int = _limit(30, "for running requests to finish at shutdown")
