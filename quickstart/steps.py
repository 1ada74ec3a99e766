"""Runs the project's own commands one after the other; their output goes to the terminal."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from rejoinder.errors import UserError
from rejoinder.units import format_duration


class Step(NamedTuple):
    """One subcommand with its arguments.

    Attributes:
        title: What the step does, in a few words.
        command: Name of the subcommand.
        flags: Values of the subcommand's flags, by name without the dashes.
        positional: Arguments after the flags.
    """

    title: str
    command: str
    flags: dict[str, object]
    positional: Sequence[str] = ()

    def arguments(self) -> list[str]:
        """Returns the arguments of `rejoinder`.

        A list becomes `--name a b`, True becomes `--name`. Positional arguments follow `--`,
        because a comment may begin with a dash.
        """
        arguments = [self.command]
        for name, value in self.flags.items():
            if value is True:
                arguments.append(f"--{name}")
            elif isinstance(value, list):
                arguments += [f"--{name}", *map(str, value)]
            else:
                arguments.append(f"--{name}={value}")
        return [*arguments, "--", *self.positional] if self.positional else arguments


def run_step(step: Step, prefix: str) -> None:
    """Runs one step in its own process.

    Args:
        step: The step.
        prefix: Printed before its title: its number and the number of steps.

    Raises:
        UserError: the command failed. It has printed the reason; the message repeats the
            command line.
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
    print(f"{prefix} done in {format_duration(time.monotonic() - started)}", flush=True)
