"""The start and the end of every command: exit statuses, and errors in one line."""

import os
import sys
from collections.abc import Callable

from rejoinder.errors import UserError


def run(main: Callable[[], int | None]) -> None:
    """Runs `main` and exits the process with its status.

    `UserError` becomes one line on standard error and status 1, Ctrl-C status
    130 (128 + SIGINT, as shells report it). A closed pipe, as in `rejoinder
    inspect CORPUS | head`, ends the process quietly with status 141 (128 +
    SIGPIPE). Anything else is a bug and keeps its traceback.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The interpreter flushes standard output once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)
