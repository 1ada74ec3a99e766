"""Keeps what Beam logs and prints in memory while an engine runs: it is shown only for a bug."""

import contextlib
import io
import logging
from collections import deque
from collections.abc import Iterator

_LINES = 2_000


class Log(io.TextIOBase):
    """A stream for standard error that keeps its last lines."""

    def __init__(self) -> None:
        self._parts: deque[str] = deque(maxlen=_LINES)

    def write(self, text: str) -> int:
        """Keeps the text."""
        self._parts.append(text)
        return len(text)

    def text(self) -> str:
        """Returns what is kept."""
        return "".join(self._parts)


@contextlib.contextmanager
def captured() -> Iterator[Log]:
    """Collects the log of all loggers, and what is printed to `sys.stderr`.

    Beam's workers print the traceback of each error before they report it.
    """
    root, log = logging.getLogger(), Log()
    handler, handlers = logging.StreamHandler(log), root.handlers[:]
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    # A local job before this one (`doctor --runner`) has hidden Beam's log.
    beam = logging.getLogger("apache_beam")
    level = beam.level
    beam.setLevel(logging.NOTSET)
    # Beam's `logging.log` would add a handler for standard error to a root without handlers.
    root.handlers[:] = [handler]
    try:
        with contextlib.redirect_stderr(log):
            yield log
    finally:
        root.handlers[:] = handlers
        beam.setLevel(level)
