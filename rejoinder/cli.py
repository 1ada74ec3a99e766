"""How every command line of the project starts and ends."""

import sys
from collections.abc import Callable

from rejoinder.errors import UserError


def run(main: Callable[[], int | None]) -> None:
    """Runs `main` and exits the process with its status.

    `UserError` becomes one line on standard error and status 1, Ctrl-C status
    130 (128 + SIGINT, as shells report it). Anything else is a bug and keeps
    its traceback.
    """
    try:
        status = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.stdout.flush()
    sys.exit(status)
