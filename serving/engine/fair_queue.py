"""The requests that wait for one model version, served in turn."""

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


class QueuedRequest:
    """One call of `Batcher.encode`.

    Attributes:
        client: Whose request it is: the API key, or "" without keys.
        rows: n ≥ 1 int32 arrays of token ids.
        embeddings: float32 [n, d], filled by the batches.
        done: Resolved when all rows are embedded, or with an error.
        arrived: Monotonic time of the call in seconds.
        started: Monotonic time in seconds at which its first batch began; 0 before.
        taken: Rows that batches have taken.
        delivered: Rows whose embeddings have been written.
    """

    def __init__(
        self,
        client: str,
        rows: Sequence[NDArray[np.int32]],
        embeddings: NDArray[np.float32],
        done: "asyncio.Future[None]",
        arrived: float,
    ):
        self.client = client
        self.rows = rows
        self.embeddings = embeddings
        self.done = done
        self.arrived = arrived
        self.started = 0.0
        self.taken = 0
        self.delivered = 0
        # Tokens of the first i rows, at index i.
        self._tokens = list(itertools.accumulate(map(row_tokens, rows), initial=0))

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken; 0 if the request was refused, cancelled or failed."""
        return 0 if self.done.done() else len(self.rows) - self.taken

    def tokens_of_next(self, count: int) -> int:
        """Returns the tokens of the next rows, of at most `count`."""
        if not self.waiting:
            return 0
        end = min(self.taken + count, len(self.rows))
        return self._tokens[end] - self._tokens[self.taken]


class FairQueue:
    """A queue in which clients take turns, and the requests of a client take turns.

    Each turn gives one row, so neither a request of a thousand rows nor a client with a
    thousand requests delays another client's only row by more than one row.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[QueuedRequest]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._clients)

    def __iter__(self) -> Iterator[QueuedRequest]:
        for requests in self._clients.values():
            yield from requests

    def add(self, request: QueuedRequest) -> None:
        """Appends a request."""
        self._clients.setdefault(request.client, deque()).append(request)

    def first(self) -> QueuedRequest:
        """Returns the request whose turn it is. The queue must not be empty."""
        return self._first_client()[1][0]

    def pass_turn(self) -> None:
        """Moves the first request, and its client, to the end."""
        client, requests = self._first_client()
        requests.rotate(-1)
        self._clients.move_to_end(client)

    def drop_first(self, *, keep_turn: bool = False) -> None:
        """Removes the first request.

        Args:
            keep_turn: Whether the turn stays with the client, because the request gave no row.
        """
        client, requests = self._first_client()
        requests.popleft()
        if not requests:
            del self._clients[client]
        elif not keep_turn:
            self._clients.move_to_end(client)

    def tokens_before(self, client: str, count: int) -> float:
        """Returns the tokens of others that run before a new request of `count` rows is done."""
        own = self._clients.get(client, ())
        turns = count + sum(min(count, request.waiting) for request in own)
        tokens = float(sum(request.tokens_of_next(count) for request in own))
        for name, requests in self._clients.items():
            rows = 0 if name == client else sum(request.waiting for request in requests)
            if rows:
                all_tokens = sum(request.tokens_of_next(rows) for request in requests)
                tokens += all_tokens * min(1.0, turns / rows)
        return tokens

    def _first_client(self) -> tuple[str, deque[QueuedRequest]]:
        return next(iter(self._clients.items()))


def row_tokens(ids: NDArray[np.int32]) -> int:
    """Returns the tokens that a row counts as; an empty row counts as one."""
    return max(1, len(ids))
