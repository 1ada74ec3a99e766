"""The report of a compiled step: memory, work, traffic, time and cost."""

from dataclasses import dataclass

from rejoinder.tables import list_table
from rejoinder.trainer.config import ExperimentConfig
from rejoinder.trainer.tpu_compile import chips
from rejoinder.trainer.tpu_compile.chips import Chip
from rejoinder.trainer.tpu_compile.environment import Compiled
from rejoinder.trainer.tpu_compile.traffic import Program
from rejoinder.units import format_bytes, format_duration

Rows = list[tuple[str, object]]

# Parts of the memory. Results that replace no argument have memory of their own.
_PARTS = ("arguments", "temporaries", "code", "results")
_PLACES = 16  # places of the model that are listed
_SMALL = 0.001  # share of the traffic below which a kind is not listed


@dataclass(frozen=True)
class Times:
    """Seconds of one step at the chip's published rates.

    Attributes:
        arithmetic: At the peak rate of matrix products.
        traffic: At the bandwidth of HBM.
        exchange: At the bandwidth of the links between chips.
    """

    arithmetic: float
    traffic: float
    exchange: float

    @property
    def bound(self) -> str:
        """What takes longest."""
        names = {
            "arithmetic": self.arithmetic,
            "memory traffic": self.traffic,
            "the exchange between replicas": self.exchange,
        }
        return max(names, key=lambda name: names[name])

    @property
    def least(self) -> float:
        """If all three run at the same time."""
        return max(self.arithmetic, self.traffic, self.exchange)

    @property
    def most(self) -> float:
        """If they run one after another."""
        return self.arithmetic + self.traffic + self.exchange


def step_times(compiled: Compiled, program: Program, chip: Chip) -> Times:
    """Returns the seconds of a step.

    A ring over n replicas sends 2 (n - 1) / n of the reduced bytes from each of them.
    """
    exchanged = sum(size for _, size in program.exchanges.values())
    ring = 2 * (chip.devices - 1) / chip.devices
    moved = sum(item.count for item in program.moved)
    return Times(
        compiled.figures["flops"] / chip.flops,
        moved / chip.bandwidth,
        ring * exchanged / chip.links,
    )


def describe_compiled(
    compiled: Compiled, name: str, chip: Chip, config: ExperimentConfig, assumptions: list[str]
) -> str:
    """Returns the report of a step that fits into memory.

    Args:
        compiled: The compiled step.
        name: Name of the slice.
        chip: Its published figures.
        config: The configuration.
        assumptions: What was assumed about model and data.
    """
    program = Program(compiled.program)
    times = step_times(compiled, program, chip)
    moved = sum(item.count for item in program.moved)
    return "\n\n".join(
        [
            list_table(_memory(compiled.figures, chip), "memory of one device"),
            list_table(_work(compiled.figures, program, moved), "one step of one replica"),
            list_table(_by_kind(program, moved), "memory traffic by kind of operation"),
            list_table(_by_place(program), "memory traffic by place in the step"),
            list_table(_time(times, config.trainer.train_steps, chip), "time and cost"),
            list_assumptions([*assumptions, *_about(name, chip)]),
        ]
    )


def list_assumptions(lines: list[str]) -> str:
    """Returns the assumptions, one a line under a title."""
    return "\n".join(["assumed", *(f"  - {line}" for line in lines)])


def _memory(figures: dict[str, float], chip: Chip) -> Rows:
    used = format_bytes(sum(figures[part] for part in _PARTS))
    return [
        ("fits", f"yes: {used} of {format_bytes(chip.memory)}"),
        *((part, format_bytes(figures[part])) for part in _PARTS if figures[part]),
    ]


def _work(figures: dict[str, float], program: Program, moved: int) -> Rows:
    own = format_bytes(figures["bytes_accessed"])
    return [
        ("arithmetic", f"{figures['flops'] / 1e12:,.3f} TFLOP"),
        ("memory traffic", f"{format_bytes(moved)} by operation, {own} by the compiler's count"),
        *(
            (opcode, f"{number} operations, {format_bytes(size)}")
            for opcode, (number, size) in sorted(program.exchanges.items())
        ),
    ]


def _by_kind(program: Program, moved: int) -> Rows:
    kinds = program.total(lambda item: item.kind)
    return [(kind, format_bytes(size)) for kind, size in kinds if size >= _SMALL * moved]


def _by_place(program: Program) -> Rows:
    places = program.total(lambda item: item.place)
    rest = sum(size for _, size in places[_PLACES:])
    listed = [*places[:_PLACES], *([("all others", rest)] if rest else [])]
    return [(place, format_bytes(size)) for place, size in listed]


def _time(times: Times, steps: int, chip: Chip) -> Rows:
    seconds = [times.least * steps, times.most * steps]
    cost = [f"{round(second / 3600 * chip.hourly):,}" for second in seconds]
    return [
        ("arithmetic", f"{_ms(times.arithmetic)} at {chip.flops / 1e12:,.1f} TFLOP/s"),
        ("memory traffic", f"{_ms(times.traffic)} at {chip.bandwidth / 1e9:,.0f} GB/s"),
        ("exchange", f"{_ms(times.exchange)} at {chip.links / 1e9:,.0f} GB/s"),
        ("bound by", times.bound),
        ("step", f"{_ms(times.least)} to {_ms(times.most)}"),
        ("whole run", f"{' to '.join(map(format_duration, seconds))} for {steps:,} steps"),
        ("cost", f"{' to '.join(cost)} USD"),
    ]


def _about(name: str, chip: Chip) -> list[str]:
    return [
        f"the published rates of {name}, reached in full; the first time is that of the bound "
        "alone, the second that of all three one after another",
        "no time for evaluations, checkpoints, or waiting for batches",
        f"{chip.hourly:.2f} USD an hour: {chip.chips} chips at {chip.price:.2f}, on demand in "
        f"{chip.region}, {chips.DATE}",
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
