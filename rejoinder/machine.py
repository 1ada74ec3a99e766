"""The cores and the memory that this process may use, in a container and without one."""

import os
from pathlib import Path
from typing import NamedTuple


class Machine(NamedTuple):
    """What this process may use, whether or not it is in use now.

    Attributes:
        cores: Logical processors.
        memory: Bytes of memory.
    """

    cores: int
    memory: int


def find_machine(root: Path = Path("/")) -> Machine:
    """Returns the cores and the memory that this process may use.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    control = root / "sys/fs/cgroup"  # a container sees its own limits there
    return Machine(_cores(control), _memory(root / "proc/meminfo", control))


def _cores(control: Path) -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for path, period in ((control / "cpu.max", None), (control / "cpu/cpu.cfs_quota_us", 100_000)):
        quota, *rest = _text(path).split() or ["max"]
        if quota.isdigit():  # neither "max" nor -1, which are no limit
            whole = int(rest[0]) if rest else period
            cores = min(cores, max(int(quota) // (whole or 1), 1))
    return cores


def _memory(meminfo: Path, control: Path) -> int:
    found = dict(line.split(":", 1) for line in _text(meminfo).splitlines() if ":" in line)
    if "MemTotal" in found:
        memory = int(found["MemTotal"].split()[0]) << 10
    else:  # not Linux
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _text(control / name).strip()
        if limit.isdigit():  # not "max"
            memory = min(memory, int(limit))
    return memory


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
