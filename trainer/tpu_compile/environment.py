"""Runs the compiler in its own environment, and keeps its results."""

import gzip
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError
from rejoinder.trainer.tpu_compile.chips import Chip
from rejoinder.trainer.tpu_compile.lowering import LoweredStep

_COMPILER = Path(__file__).with_name("compiler.py")
_PLATFORM = "Linux x86_64"
_FIGURES, _PROGRAM = "compiled.json", "program.txt.gz"


@dataclass(frozen=True)
class Compiled:
    """What the compiler said of one replica's program.

    Attributes:
        figures: Its figures by name (`compiler.compile_program`).
        program: The compiled program as text; empty if it does not fit.
        path: File of that text.
        cached: Whether an earlier call compiled it.
    """

    figures: dict[str, Any]
    program: str
    path: Path
    cached: bool


def cache_folder() -> Path:
    """Returns the folder of the compiler's environment and of its results."""
    return Path.home() / ".cache" / "rejoinder"


def find_compiler() -> Path:
    """Returns the Python of the compiler's environment.

    Raises:
        UserError: libtpu has no wheel for this machine, or the environment was not made.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here != _PLATFORM:
        raise UserError(f"--tpu-topology: libtpu has no wheel for {here}; use {_PLATFORM}")
    folder = cache_folder() / "tpu-compiler"
    if not (folder / "lock.txt").exists():  # the last file that the command below writes
        raise UserError(
            f"--tpu-topology: the compiler is not in {folder}; run `make setup-tpu-compiler`, "
            "which installs jax and libtpu there (1.2 GB)"
        )
    return folder / "bin" / "python"


def compile_step(step: LoweredStep, chip: Chip, python: Path) -> Compiled:
    """Compiles a step for a TPU, or returns the result of an equal step.

    The key of a result is a hash of the program, the topology, the installed libtpu and the
    code that calls it.

    Args:
        step: The step, lowered for as many replicas as the chip has devices.
        chip: The TPU.
        python: Result of `find_compiler`.

    Raises:
        UserError: The compiler failed for another reason than too little memory.
    """
    parts = [
        step.digest.encode(),
        chip.topology.encode(),
        _COMPILER.read_bytes(),
        _versions(python).encode(),
    ]
    key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    results = cache_folder() / "tpu-programs"
    folder = results / key[:24]
    cached = (folder / _FIGURES).exists()
    if not cached:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=results, prefix="unfinished-") as work:
            _run(step, chip, python, Path(work))
            try:
                os.rename(Path(work, "result"), folder)
            except OSError:  # another process has compiled the same program meanwhile
                if not (folder / _FIGURES).exists():
                    raise
    figures = json.loads((folder / _FIGURES).read_text())
    path = folder / _PROGRAM
    program = gzip.decompress(path.read_bytes()).decode() if path.exists() else ""
    return Compiled(figures, program, path, cached)


def _run(step: LoweredStep, chip: Chip, python: Path, work: Path) -> None:
    """Runs the compiler; its two files are then in `work/result`."""
    (work / "step.hlo").write_bytes(step.hlo)
    (work / "result").mkdir()
    arguments = (work / "step.hlo", chip.topology, step.replicas, work / "result")
    command = [str(part) for part in (python, _COMPILER, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(
            f"--tpu-topology: libtpu cannot compile the step for {chip.topology} ({lines[-1]}); "
            "run `make setup-tpu-compiler` again, or report it with this line"
        )
    text = work / "result" / "program.txt"
    if text.exists():
        (work / "result" / _PROGRAM).write_bytes(gzip.compress(text.read_bytes(), 6))
        text.unlink()


def _versions(python: Path) -> str:
    """Returns names with versions of the compiler's packages, as the environment records them."""
    packages = python.parent.parent.glob("lib/python*/site-packages/*.dist-info")
    names = (path.stem for path in packages)
    return " ".join(sorted(name for name in names if name.startswith(("jax", "libtpu"))))
