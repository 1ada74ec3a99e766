"""Measures publication to an object store in which each request takes some time.

    make bench BENCH=publish ARGS='--files 2000 --delay 0.05'

The store is the Cloud Storage emulator with a thread per connection, and a delay before
each request. Published are staged files of a few bytes: a store copies an object without
reading it, so its size changes little.
"""

import argparse
import collections
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import server as http_server

from rejoinder import publishing, storage
from rejoinder.output import FolderKind, staging_folder
from rejoinder.publishing import Move
from rejoinder.staging import lock_staging
from rejoinder.tables import markdown_table
from rejoinder.units import format_duration

_ALL_OF_REDDIT = 24_000  # shards of 3.68 billion comments, both splits
_BUCKET = "bucket"


def serve(delay: float) -> None:
    """Runs the emulator, and prints its port, until standard input ends."""
    from gcp_storage_emulator import server

    lock, requests = threading.Lock(), collections.Counter[str]()
    handle = server.Router.handle

    def delayed(router: server.Router, method: str) -> None:
        time.sleep(delay)
        with lock:  # the emulator's store is not for several threads
            requests[method] += 1
            handle(router, method)

    class Server(http_server.ThreadingHTTPServer):
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            """Says nothing: gcsfs closes a connection whose answer it no longer needs."""

    server.Router.handle = delayed
    # Otherwise each change writes the list of all objects as JSON, for a restart.
    server.Storage._write_config_to_file = lambda storage: None
    server.server.HTTPServer = Server
    made = server.create_server("127.0.0.1", 0, in_memory=True, default_bucket=_BUCKET)
    made.start()
    print(made._api._httpd.server_port, flush=True)
    for _ in sys.stdin:  # a line asks for the number of requests since the last one
        print(sum(requests.values()), flush=True)
        requests.clear()
    os._exit(0)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2_000, help="default 2,000")
    parser.add_argument(
        "--delay", type=float, default=0.05, help="seconds added to each request, default 0.05"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.delay)
    command = [sys.executable, __file__, "--serve", "--delay", str(arguments.delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as store:
        assert store.stdout is not None
        os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{store.stdout.readline().strip()}"
        measure(arguments.files, store)
        store.communicate()


def measure(files: int, store: "subprocess.Popen[str]") -> None:
    """Publishes the files, first to a new folder and then over it; prints seconds and requests."""
    kind = FolderKind("demo", listed)
    rows = []
    for overwrite in (False, True):
        output = f"gs://{_BUCKET}/corpus"
        with lock_staging(output) as staging:
            moves = stage(staging, files)
            _requests(store)
            started, cpu = time.monotonic(), time.process_time()
            publishing.publish(
                output,
                staging,
                kind,
                overwrite=overwrite,
                moves=moves,
                documents={"list": "\n".join(["list", *moves]).encode()},
                last="list",
            )
            seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        assert not list(storage.list_tree(staging_folder(output)))
        large = format_duration(seconds / files * _ALL_OF_REDDIT)
        what = "over a finished folder" if overwrite else "a new folder"
        figures = [f"{seconds:.1f}", f"{cpu:.1f}", f"{_requests(store) / files:.2f}", large]
        rows.append([what, f"{files:,}", *figures])
    header = ["", "files", "seconds", "CPU s", "requests a file", f"{_ALL_OF_REDDIT:,} files take"]
    print(markdown_table(header, rows))


def listed(folder: str) -> set[str] | None:
    """Returns the files that the folder's list names."""
    path = storage.join(folder, "list")
    return set(storage.read_bytes(path).decode().split()) if storage.exists(path) else None


def stage(staging: str, files: int) -> dict[str, Move]:
    """Stages files of a few bytes, as the workers of a job do, in parallel."""
    moves = {f"shard-{number:05d}": f"{staging}/staged-{number}" for number in range(files)}
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda path: storage.write_bytes(path, b"0123456789"), moves.values()))
    return {name: Move(path, 10) for name, path in moves.items()}


def _requests(store: "subprocess.Popen[str]") -> int:
    assert store.stdin is not None
    assert store.stdout is not None
    store.stdin.write("\n")
    store.stdin.flush()
    return int(store.stdout.readline())


if __name__ == "__main__":
    main()
