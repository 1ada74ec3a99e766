"""Runs the project's own commands one after the other, showing what they print."""

import shlex
import subprocess
import sys
import time
from typing import NamedTuple

from rejoinder.errors import UserError


class Step(NamedTuple):
    """One step of the path: its title, the subcommand that does it, and the subcommand's flags."""

    title: str
    command: str
    flags: dict[str, object]

    def arguments(self) -> list[str]:
        """Returns what follows `rejoinder`: a list gives `--name a b`, True a bare `--name`."""
        arguments = [self.command]
        for name, value in self.flags.items():
            if value is True:
                arguments.append(f"--{name}")
            elif isinstance(value, list):
                arguments += [f"--{name}", *map(str, value)]
            else:
                arguments.append(f"--{name}={value}")
        return arguments


def run_step(step: Step, prefix: str) -> None:
    """Runs one step in a process of its own; its output goes straight to the terminal.

    Raises:
        UserError: the command failed; it has said why, and the message repeats the command line.
    """
    command = step.arguments()
    print(f"\n{prefix} {step.title}\n$ rejoinder {shlex.join(command)}", flush=True)
    started = time.monotonic()
    status = subprocess.run([sys.executable, "-m", "rejoinder", *command], check=False).returncode
    if status:
        raise UserError(
            f"{prefix} {step.title}: the command above ended with status {status}; "
            f"to run it alone: rejoinder {shlex.join(command)}"
        )
    print(f"{prefix} done in {time.monotonic() - started:.0f} s", flush=True)
