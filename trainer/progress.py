"""Progress output of training: one line that is rewritten on a terminal, or plain lines."""

import sys
import time
from typing import TextIO

import tensorflow as tf

from rejoinder.units import format_duration


class Progress:
    """An orbit action that reports each inner loop of training steps.

    Args:
        global_step: The step counter.
        steps: Step at which training ends.
        stream: Output stream; standard output if None.
        interval: Minimum seconds between two plain lines.
    """

    def __init__(
        self,
        global_step: tf.Variable,
        steps: int,
        *,
        stream: TextIO | None = None,
        interval: float = 5.0,
    ):
        self._global_step = global_step
        self._steps = steps
        self._stream = stream or sys.stdout
        self._interval = interval
        self._began = time.monotonic()
        self._first_step = int(global_step.numpy())
        self._last_line = -interval
        self.first_loss: float | None = None
        self.last_loss: float | None = None
        self.last_logs: dict[str, float] = {}
        self.first_losses: dict[str, float] = {}
        self.last_losses: dict[str, float] = {}

    def __call__(self, logs: dict[str, float]) -> None:
        """Reports the metrics of the latest steps."""
        losses = {name: value for name, value in logs.items() if name.startswith("loss_")}
        self.first_losses = losses | self.first_losses
        self.last_losses |= losses  # not every loop draws from each data set
        loss = logs["training_loss"]
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.last_loss = loss
        self.last_logs = dict(logs)
        step = int(self._global_step.numpy())
        line = format_line(step, self._steps, logs, self._remaining(step))
        now = time.monotonic()
        if self._stream.isatty():
            end = "\n" if step >= self._steps else ""
            self._stream.write(f"\r\x1b[K{line}{end}")
        elif now - self._last_line >= self._interval or step >= self._steps:
            self._last_line = now
            self._stream.write(line + "\n")
        self._stream.flush()

    def _remaining(self, step: int) -> float:
        done = max(step - self._first_step, 1)
        return (time.monotonic() - self._began) / done * (self._steps - step)


class Evaluations:
    """An orbit action that reports each evaluation on a line of its own.

    Args:
        global_step: The step counter.
        stream: Output stream; standard output if None.
    """

    def __init__(self, global_step: tf.Variable, *, stream: TextIO | None = None):
        self._global_step = global_step
        self._stream = stream or sys.stdout
        self.last_logs: dict[str, float] = {}

    def __call__(self, logs: dict[str, float]) -> None:
        """Reports the metrics of an evaluation."""
        self.last_logs = {name: float(value) for name, value in logs.items()}
        values = " | ".join(f"{name} {value:.4f}" for name, value in self.last_logs.items())
        start = "\r\x1b[K" if self._stream.isatty() else ""
        self._stream.write(
            f"{start}evaluated at step {int(self._global_step.numpy())} | {values}\n"
        )
        self._stream.flush()


def format_line(step: int, steps: int, logs: dict[str, float], remaining: float) -> str:
    """Returns e.g. `step   300/1000  30% | loss 2.31 | … | 1,204 pairs/s | 2 min 10 s left`."""
    width = len(str(steps))
    parts = [
        f"step {step:>{width}}/{steps} {step / steps:4.0%}",
        f"loss {logs['training_loss']:.4f}",
        f"accuracy {logs['accuracy']:.3f}",
        f"lr {logs['learning_rate']:.2e}",
        f"{logs['pairs_per_second']:,.0f} pairs/s",
        f"{logs['tokens_per_second']:,.0f} tokens/s",
        f"{logs['real_tokens']:.1%} real",
        f"{format_duration(remaining)} left",
    ]
    return " | ".join(parts)
