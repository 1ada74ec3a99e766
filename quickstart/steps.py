"""Runs the project's own commands one after the other, showing what they print."""

import shlex
import subprocess
import sys
import time
from typing import NamedTuple

from corpus.errors import UserError


class Step(NamedTuple):
    """One command of the path: what it does, the module that does it, and the module's flags."""

    title: str
    module: str
    flags: dict[str, object]

    def arguments(self) -> list[str]:
        """Returns what follows `python`: a list gives `--name a b`, True a bare `--name`."""
        arguments = ["-m", self.module]
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
    print(f"\n{prefix} {step.title}\n$ python {shlex.join(command)}", flush=True)
    started = time.monotonic()
    status = subprocess.run([sys.executable, *command], check=False).returncode
    if status:
        raise UserError(
            f"{prefix} {step.title}: the command above ended with status {status}; "
            f"to run it alone: {sys.executable} {shlex.join(command)}"
        )
    print(f"{prefix} done in {time.monotonic() - started:.0f} s", flush=True)
