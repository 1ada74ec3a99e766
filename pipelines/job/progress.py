"""The progress line of a run on one machine.

Workers may be other processes. They write their figures to small files below the
staging folder, and the command that waits for them adds these up.
"""

import os
import threading
import time
import zlib
from collections.abc import Callable
from typing import Self, TextIO

from rejoinder import storage
from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.units import format_bytes, format_duration

FOLDER = "progress"
_WRITE_SECONDS = 0.3
_WIDTH = 20  # characters of a figure, padded with spaces


class Progress:
    """Writes a worker's progress; remote staging folders have none."""

    def __init__(self, staging: str) -> None:
        self._folder = storage.join(staging, FOLDER) if storage.is_local(staging) else None
        if self._folder:
            os.makedirs(self._folder, exist_ok=True)

    def reader(self, part: Part) -> Callable[[int], None]:
        """Returns a function that takes the number of stored bytes read of a part's file."""
        if not self._folder:
            return lambda stored: None
        name = f"read-{zlib.crc32(part.path.encode())}-{part.begin}"
        path, written = os.path.join(self._folder, name), 0.0

        def report(stored: int) -> None:
            nonlocal written
            now = time.monotonic()
            if now - written >= _WRITE_SECONDS or stored >= part.begin + part.length:
                written = now
                _replace(path, str(min(max(stored - part.begin, 0), part.length)))

        return report

    def bucket_done(self, bucket: int) -> None:
        """Records that a bucket's shards are staged."""
        if self._folder:
            _replace(os.path.join(self._folder, f"bucket-{bucket}"), "1")


def _replace(path: str, text: str) -> None:
    try:
        # Overwritten in place: some file systems flush a file that was truncated, which takes
        # longer than the work between two reports.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, text.ljust(_WIDTH).encode())
        finally:
            os.close(descriptor)
    except OSError:
        return  # a full disk is reported by the shards' writer


class StatusLine:
    """Prints a line at regular times as long as its context is open."""

    def __init__(self, text: Callable[[], str], stream: TextIO) -> None:
        """Prepares the line.

        Args:
            text: Returns the line for this moment.
            stream: A terminal gets one line that changes; others get a line every 10 s.
        """
        self._text, self._stream = text, stream
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._stream.isatty():
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _run(self) -> None:
        terminal = self._stream.isatty()
        while not self._stop.wait(1.0 if terminal else 10.0):
            text = self._text()
            self._stream.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
            self._stream.flush()


class ProgressLine(StatusLine):
    """Prints bytes, rate and remaining time as long as its context is open."""

    def __init__(self, staging: str, total_bytes: int, num_buckets: int, stream: TextIO) -> None:
        """Prepares the line.

        Args:
            staging: The local folder that the workers write to.
            total_bytes: Stored bytes of all input files.
            num_buckets: Buckets of the shuffle; 0 if the command only reads.
            stream: See `StatusLine`.
        """
        super().__init__(self.text, stream)
        self._folder = storage.join(staging, FOLDER)
        self._total, self._buckets = total_bytes, num_buckets
        self._started = time.monotonic()
        self._writing_since = 0.0  # the time when all input had been read

    def text(self) -> str:
        """Returns the line for this moment."""
        read, buckets = self._state()
        now = time.monotonic()
        seconds = max(now - self._started, 1e-3)
        if read < self._total or not self._buckets:
            rate = read / seconds
            left = format_duration((self._total - read) / rate) if rate else "?"
            return (
                f"reading {format_bytes(read)} of {format_bytes(self._total)} "
                f"({format_bytes(rate)}/s, about {left} left to read)"
            )
        self._writing_since = self._writing_since or now
        each = (now - self._writing_since) / buckets if buckets else 0.0
        left = format_duration(each * (self._buckets - buckets)) if each else "?"
        return (
            f"writing shards: {buckets} of {self._buckets} buckets "
            f"({format_duration(seconds)}, about {left} left)"
        )

    def _state(self) -> tuple[int, int]:
        read = buckets = 0
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith("bucket-"):
                        buckets += 1
                    else:
                        with open(entry.path, encoding="ascii") as file:
                            read += int(file.read() or 0)
        except (OSError, ValueError):
            pass  # a file that a worker is writing or removing
        return min(read, self._total), buckets
