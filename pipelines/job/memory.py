"""Keeps freed memory in the process, so that the next chunk or bucket uses its pages again."""

import ctypes
import sys

# Parameters of `mallopt` in glibc's malloc.h, in bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 << 20
_LARGEST_THRESHOLD = 32 << 20  # glibc accepts no higher one


def keep_freed_pages() -> None:
    """Makes malloc keep up to 512 MiB of freed memory.

    By default it returns memory at the end of the heap to the system. The system clears a
    page before it gives it out again, which takes longer than most work on its content.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries lack it
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
