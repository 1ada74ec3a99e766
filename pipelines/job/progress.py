"""The progress line of a run on one machine.

Workers may be other processes, so they leave their figures in small files below
the staging folder, and the command that waits for them adds those up.
"""

import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import TextIO

from rejoinder import storage
from rejoinder.pipelines.dumps.input_files import Part

FOLDER = "progress"
_WRITE_SECONDS = 0.3


class Progress:
    """The workers' side."""

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
        """Notes that a bucket's shards are staged."""
        if self._folder:
            _replace(os.path.join(self._folder, f"bucket-{bucket}"), "1")


def _replace(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return  # a disk that is full will say so where it matters


class ProgressLine:
    """The waiting side: a context manager that prints bytes, rate and the time left."""

    def __init__(
        self, staging: str, total_bytes: int, num_buckets: int, stream: TextIO | None = None
    ) -> None:
        self._folder = storage.join(staging, FOLDER)
        self._total, self._buckets = total_bytes, num_buckets
        self._stream = stream or sys.stderr
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = time.monotonic()
        self._writing_since = 0.0  # when all input was first seen to be read

    def __enter__(self) -> "ProgressLine":
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
            text = self.text()
            self._stream.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
            self._stream.flush()

    def text(self) -> str:
        """Returns the line for this moment."""
        read, buckets = self._state()
        now = time.monotonic()
        seconds = max(now - self._started, 1e-3)
        if read < self._total:
            rate = read / seconds
            left = format_seconds((self._total - read) / rate) if rate else "?"
            return (
                f"reading {format_bytes(read)} of {format_bytes(self._total)} "
                f"({format_bytes(int(rate))}/s, about {left} left to read)"
            )
        self._writing_since = self._writing_since or now
        each = (now - self._writing_since) / buckets if buckets else 0.0
        left = format_seconds(each * (self._buckets - buckets)) if each else "?"
        return (
            f"writing shards: {buckets} of {self._buckets} buckets "
            f"({format_seconds(seconds)}, about {left} left)"
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
            pass  # a file that is just being written or removed
        return min(read, self._total), buckets


def format_bytes(count: int) -> str:
    """Returns e.g. `1.5 GB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def format_seconds(seconds: float) -> str:
    """Returns e.g. `2 h 05 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
