"""Objects in `gs://` and `s3://` buckets, read and written through fsspec.

Used by `rejoinder.storage` only. Every function raises `OSError` for what the
store or the network refuses, whatever exception the client library raises.
"""

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, BinaryIO

from rejoinder.errors import UserError

SCHEMES = ("gs", "s3")
# One request reads this much, and the next block is read while this one is used.
_BLOCK_BYTES = 16 << 20
_BLOCKS_IN_MEMORY = 3
_PARALLEL_REQUESTS = 32


def open_read(path: str) -> BinaryIO:
    """Opens an object for reading, with the next block requested in the background."""
    with _client_errors():
        file = filesystem(path).open(
            path,
            "rb",
            block_size=_BLOCK_BYTES,
            cache_type="background",
            cache_options={"maxblocks": _BLOCKS_IN_MEMORY},
        )
        fetch = file.cache.fetcher

    def fetch_range(start: int, end: int) -> Any:
        with _client_errors():
            return fetch(start, end)

    file.cache.fetcher = fetch_range
    return file


def write(path: str, data: bytes) -> None:
    """Writes an object, over an existing one if there is one."""
    with _client_errors():
        filesystem(path).pipe_file(path, data)


def size(path: str) -> int | None:
    """Returns an object's size in bytes, None for a folder.

    Raises:
        FileNotFoundError: There is neither an object nor a folder of this name.
    """
    with _client_errors():
        info = filesystem(path).info(path)
    return int(info["size"]) if info["type"] == "file" else None


def version(path: str) -> str:
    """Returns a text that differs when the object was changed."""
    with _client_errors():
        return str(filesystem(path).ukey(path))


def find(folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yields (path, size in bytes) of the objects below a folder, at any depth.

    Args:
        folder: `scheme://bucket`, or a folder in it.
        prefix: Only objects whose path below `folder` begins with this are listed.
    """
    scheme = folder.partition("://")[0]
    with _client_errors(), contextlib.suppress(FileNotFoundError):
        found = filesystem(folder).find(folder, prefix=prefix, detail=True)
        for name, info in found.items():
            path = f"{scheme}://{name}"
            # A name that ends in a slash is the placeholder of an empty folder.
            if path.startswith(f"{folder}/{prefix}") and not name.endswith("/"):
                yield path, int(info["size"])


def states(folder: str) -> Iterator[tuple[str, int, str]]:
    """Yields (path, size in bytes, text that differs when it was changed) of a folder's objects."""
    scheme = folder.partition("://")[0]
    with _client_errors(), contextlib.suppress(FileNotFoundError):
        for name, info in filesystem(folder).find(folder, detail=True).items():
            path = f"{scheme}://{name}"
            # Cloud Storage's names of these fields, and S3's.
            stamp = [info.get(key) for key in ("etag", "updated", "ETag", "LastModified")]
            if path.startswith(f"{folder}/") and not name.endswith("/"):
                yield path, int(info["size"]), " ".join(map(str, stamp))


def upload(source: str, path: str) -> None:
    """Writes a local file to an object, piece by piece."""
    with _client_errors():
        filesystem(path).put_file(source, path)


def glob(pattern: str) -> Iterator[tuple[str, int]]:
    """Yields (path, size in bytes) of the objects that match, as `rejoinder.storage.glob` defines.

    Raises:
        UserError: The bucket's name holds a wildcard.
    """
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if literal == pattern:
        with contextlib.suppress(FileNotFoundError):
            found = size(pattern)
            if found is not None:
                yield pattern, found
        return
    folder, _, prefix = literal.rpartition("/")
    if folder.endswith("/"):
        raise UserError(f"{pattern}: the bucket must be named without a wildcard")
    entries = list(find(folder, prefix))
    exact = [entry for entry in entries if entry[0] == pattern]
    parts = pattern.split("/")
    yield from exact or (entry for entry in entries if _matches(entry[0].split("/"), parts))


def write_all(files: Mapping[str, bytes]) -> None:
    """Writes objects, several at a time, and checks their stored sizes."""

    def write_one(path: str) -> None:
        write(path, files[path])
        stored = size(path)
        if stored != len(files[path]):
            raise OSError(f"{path}: {stored} of {len(files[path])} bytes were stored")

    _in_parallel(write_one, files)


def copy(copies: Mapping[str, str]) -> None:
    """Copies objects, several at a time, over existing ones.

    Args:
        copies: Destination of each source, in the same store.

    Raises:
        FileNotFoundError: A source is missing.
    """

    def copy_one(source: str) -> None:
        with _client_errors():
            filesystem(source).cp_file(source, copies[source])

    _in_parallel(copy_one, copies)


def delete(paths: list[str]) -> None:
    """Deletes objects, several at a time; missing ones are ignored."""

    def delete_one(path: str) -> None:
        with _client_errors(), contextlib.suppress(FileNotFoundError):
            filesystem(path).rm_file(path)

    _in_parallel(delete_one, paths)


def _in_parallel(act: Callable[[str], None], paths: Iterable[str]) -> None:
    """Calls a function for each path; the first error ends the calls that have not begun."""
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        for _ in pool.map(act, paths):
            pass


def filesystem(path: str) -> Any:
    """Returns the fsspec filesystem of a path.

    Raises:
        UserError: The scheme is not supported, or its package is not installed.
    """
    try:
        return _filesystem(path.partition("://")[0], os.getpid())
    except ImportError as error:
        scheme, extra = ("s3://", "s3") if path.startswith("s3://") else ("gs://", "gcs")
        raise UserError(
            f"{path}: {scheme} paths need the {extra} extra: pip install 'rejoinder[{extra}]'"
        ) from error


# A forked process can use neither its parent's connections nor its IO thread, hence `process`.
@lru_cache(maxsize=len(SCHEMES))
def _filesystem(scheme: str, process: int) -> Any:
    # Listings are not cached: other processes write to the same folders.
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "s3":
        from s3fs import S3FileSystem

        return S3FileSystem(**options)
    # `gcsfs.GCSFileSystem` asks for each bucket's type by gRPC, which the emulator lacks.
    from gcsfs.core import GCSFileSystem

    # It logs the traceback of every error that it raises.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    anonymous = "STORAGE_EMULATOR_HOST" in os.environ  # the emulator has no accounts
    return GCSFileSystem(token="anon" if anonymous else None, **options)


def _matches(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


@contextlib.contextmanager
def _client_errors() -> Iterator[None]:
    """Turns the exceptions of gcsfs, aiohttp, google.auth and botocore into OSError."""
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise OSError(str(error) or type(error).__name__) from error
