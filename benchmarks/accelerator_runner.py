"""Measures the training steps that `benchmarks.accelerator` wrote, on this machine's accelerator.

    python run.py [--only NAME …] [--seconds 5] [--results results.json]

It needs jax (0.10.2 was tried) and numpy, and nothing of this project: jax for NVIDIA (`pip install
'jax[cuda12]'`), for a TPU (`jax[tpu]`) or for the CPU (`jax`). The folder of this file holds the
programs. Each program is measured after it was compiled and run a few times; programs with recorded
losses of the CPU are run for ten steps first, and their losses are compared. The results are
written after each program, so that an interrupted run keeps them.
"""

import argparse
import contextlib
import dataclasses
import gzip
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
PROGRAMS = "programs.json"
# Largest relative difference of a loss. An NVIDIA card multiplies float32 as TF32, with 10 bits of
# mantissa; bfloat16 has 7.
TOLERANCES = {"float32": 2e-3, "bfloat16": 2e-2}
# Published peaks in TFLOP/s (without sparsity) of one device of jax, by the first words of its
# name: bfloat16, and float32 as the device multiplies it (TF32). From NVIDIA's data sheets and
# Google Cloud's pages; a v3 chip has two devices.
PEAKS = {
    "NVIDIA H200": (989.0, 494.5),
    "NVIDIA H100 PCIe": (756.0, 378.0),
    "NVIDIA H100": (989.0, 494.5),
    "NVIDIA A100": (312.0, 156.0),
    "NVIDIA L40S": (362.0, 183.0),
    "NVIDIA L4": (121.0, 60.0),
    "TPU v3": (61.5, None),
    "TPU v4": (275.0, None),
    "TPU v5 lite": (197.0, None),
    "TPU v5": (459.0, None),
    "TPU v5p": (459.0, None),
    "TPU v6 lite": (918.0, None),
}
_WARM_UP = 3  # steps before the measurement
_SENT = 3  # steps sent to the device before one is waited for


def main() -> None:
    """Measures the programs and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of programs")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement (%(default)s)")
    parser.add_argument("--results", default=str(FOLDER / "results.json"))
    arguments = parser.parse_args()
    # Compiled programs want the memory that jax would reserve for itself, and say what they use.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    jax.config.update("jax_enable_x64", True)  # the step counters are int64
    programs = json.loads((FOLDER / PROGRAMS).read_text())
    known = [program["name"] for program in programs]
    for name in arguments.only or ():
        if name not in known:
            raise SystemExit(f"error: --only {name}: no such program; known: {', '.join(known)}")
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), jax {jax.__version__}", flush=True)
    rates = {precision: matrix_rate(precision) for precision in TOLERANCES}
    results: dict[str, Any] = {
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        "matrix_tflops": {precision: rate / 1e12 for precision, rate in rates.items()},
        "programs": [],
    }
    for program in programs:
        if arguments.only and program["name"] not in arguments.only:
            continue
        try:
            result = measure(program, arguments.seconds)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
                raise
            result = {"error": "out of memory"}
        kept = {key: program[key] for key in ("name", "layout", "precision", "batch", "chunks")}
        if "seconds" in result:
            peak = peak_of(device.device_kind, program["precision"])
            result |= shares(result["flops"] / result["seconds"], peak, rates[program["precision"]])
        results["programs"].append(kept | result)
        Path(arguments.results).write_text(json.dumps(results, indent=2) + "\n")
        print(line(kept | result), flush=True)
    print(f"wrote {arguments.results}")
    wrong = [one["name"] for one in results["programs"] if one.get("equal_losses") is False]
    if wrong:
        raise SystemExit(f"error: losses differ from the CPU's: {', '.join(wrong)}")


def measure(program: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Returns times, losses and memory of one program.

    Args:
        program: Entry of `programs.json`.
        seconds: Wall time of the measurement.
    """
    import jax

    with np.load(FOLDER / program["data"]) as archive:
        batches = [
            [jax.numpy.asarray(archive[f"{name}_{step}"]) for name in program["features"]]
            for step in range(program["batches"])
        ]
        state = [jax.numpy.asarray(initial(entry, archive)) for entry in program["state"]]
    began = time.perf_counter()
    step, flops = load(program, [*batches[0], jax.numpy.int32(0), *state])
    result: dict[str, Any] = {"compile_seconds": time.perf_counter() - began, "flops": flops}

    def run(number: int) -> Any:
        loss, *new = step(*batches[number % len(batches)], jax.numpy.int32(0), *state)
        for index, value in zip(program["updated"], new, strict=True):
            state[index] = value
        return loss

    expected = program.get("losses")
    steps = len(expected) if expected else _WARM_UP
    losses = [float(run(number)) for number in range(steps)]
    result["losses"] = losses
    if expected:
        result |= compare(losses, expected, TOLERANCES[program["precision"]])
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds or not count:
        for _ in range(_SENT):
            loss = run(steps + count)
            count += 1
        loss.block_until_ready()
    taken = (time.perf_counter() - began) / count
    result |= {
        "seconds": taken,
        "steps_per_second": 1 / taken,
        "pairs_per_second": program["batch"] / taken,
        "tokens_per_second": program["tokens"] / taken,
    }
    statistics = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics:  # of this and all programs before
        result["peak_bytes"] = statistics["peak_bytes_in_use"]
    return result


def compare(losses: Sequence[float], expected: Sequence[float], tolerance: float) -> dict[str, Any]:
    """Returns the largest relative difference of some losses, and whether it is small."""
    largest = float(np.abs(np.divide(losses, expected) - 1).max())
    return {"largest_difference": largest, "equal_losses": largest <= tolerance}  # not if NaN


def initial(entry: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the first value of an argument of a program's state.

    Args:
        entry: `shape`, `dtype`, and `value` (one number), `array` (a name in `arrays`), or
            `deviation` and `seed` of normal numbers.
        arrays: Arrays that no seed gives.
    """
    if "array" in entry:
        return arrays[entry["array"]]
    shape, dtype = entry["shape"], entry["dtype"]
    if "deviation" in entry:
        numbers = np.random.default_rng(entry["seed"]).standard_normal(shape, np.float32)
        return (numbers * np.float32(entry["deviation"])).astype(dtype)
    return np.full(shape, entry["value"], dtype)


def load(program: dict[str, Any], arguments: list[Any]) -> tuple[Any, int]:
    """Compiles a program for the first device.

    Args:
        program: Entry of `programs.json`.
        arguments: Arrays of its arguments' shapes and types.

    Returns:
        The compiled function, whose results take the memory of the arguments they replace, and the
        floating point operations of its matrix products.
    """
    import jax
    from jax import export

    hlo = gzip.decompress((FOLDER / program["program"]).read_bytes())
    artifact, flops = portable(hlo)
    first = len(arguments) - len(program["state"])
    results = [jax.ShapeDtypeStruct((), np.float32)]
    results += [arguments[first + index] for index in program["updated"]]
    shaped = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in results]

    def like(*_: Any) -> tuple[Any, ...]:
        return tuple(jax.numpy.zeros(one.shape, one.dtype) for one in shaped)

    # A program with the same arguments and results, whose body is then replaced.
    exported = export.export(jax.jit(like, keep_unused=True))(*arguments)
    exported = dataclasses.replace(exported, mlir_module_serialized=artifact)
    donated = tuple(first + index for index in program["updated"])
    return jax.jit(exported.call, donate_argnums=donated).lower(*arguments).compile(), flops


def portable(hlo: bytes) -> tuple[bytes, int]:
    """Returns a program as a portable StableHLO artifact, and the operations of its products.

    Args:
        hlo: A serialized `HloModuleProto`.
    """
    from jax.extend import mlir as converters
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import chlo, stablehlo
    from jax.interpreters import mlir

    with mlir.make_ir_context(), ir.Location.unknown():
        module = ir.Module.parse(converters.hlo_to_stablehlo(hlo))
        flops = 0
        for operation in list(_operations(module.operation)):
            if operation.name == "mhlo.copy":
                operation.results[0].replace_all_uses_with(operation.operands[0])
                operation.erase()
            elif operation.name == "mhlo.erf":
                with ir.InsertionPoint(operation):
                    replacement = chlo.erf(operation.operands[0])
                operation.results[0].replace_all_uses_with(replacement)
                operation.erase()
            elif operation.name in ("stablehlo.dot", "stablehlo.dot_general"):
                flops += _product_flops(operation)
        for name in [str(getattr(entry, "name", entry)) for entry in module.operation.attributes]:
            if name.startswith("mhlo."):
                del module.operation.attributes[name]
        version = stablehlo.get_current_version()
        return converters.serialize_portable_artifact(module, version, True), flops


def _operations(operation: Any) -> Iterator[Any]:
    """Yields all operations inside another one."""
    for region in operation.regions:
        for block in region:
            for child in list(block):
                yield from _operations(child.operation)
                yield child.operation


def _product_flops(operation: Any) -> int:
    """Returns two for each multiplication of a matrix product."""
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import stablehlo

    left = ir.RankedTensorType(operation.operands[0].type).shape
    contracted = [len(left) - 1]
    if operation.name == "stablehlo.dot_general":
        numbers = stablehlo.DotDimensionNumbers(operation.attributes["dot_dimension_numbers"])
        contracted = list(numbers.lhs_contracting_dimensions)
    result = ir.RankedTensorType(operation.results[0].type).shape
    return 2 * int(np.prod(result, dtype=np.int64)) * int(np.prod([left[d] for d in contracted]))


def matrix_rate(precision: str) -> float:
    """Returns the speed of a large matrix product here, in FLOP/s."""
    import jax

    size = 1024 if jax.default_backend() == "cpu" else 8192
    matrix = jax.random.normal(jax.random.key(0), (size, size), precision)
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    best = np.inf
    for _ in range(10):
        began = time.perf_counter()
        product(matrix).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def peak_of(kind: str, precision: str) -> float | None:
    """Returns the published peak of a device in FLOP/s; None if this file does not know it."""
    for name, (bfloat16, float32) in PEAKS.items():
        if re.match(rf"{name}(?![0-9A-Za-z])", kind):
            peak = bfloat16 if precision == "bfloat16" else float32
            return None if peak is None else peak * 1e12
    return None


def shares(rate: float, peak: float | None, matrix: float) -> dict[str, float | None]:
    """Returns the speed of a step's matrix products and its shares of two limits.

    Args:
        rate: FLOP/s of the step.
        peak: Published peak in FLOP/s, None if it is not known.
        matrix: FLOP/s of a large matrix product, measured in the same process.
    """
    return {
        "tflops": rate / 1e12,
        "share_of_peak": None if peak is None else rate / peak,
        "share_of_matrix_product": rate / matrix,
    }


def line(result: dict[str, Any]) -> str:
    """Returns a result as one line."""
    name = f"{result['name']:<26}"
    if "error" in result:
        return f"{name} {result['error']}"
    peak = result["share_of_peak"]
    parts = [
        f"{name} {result['seconds'] * 1e3:9.1f} ms/step",
        f"{result['pairs_per_second']:9,.0f} pairs/s",
        f"{result['tflops']:7.2f} TFLOP/s",
        "peak unknown" if peak is None else f"{peak:.0%} of the peak",
        f"{result['share_of_matrix_product']:.0%} of a matrix product",
    ]
    if "equal_losses" in result:
        word = "equal" if result["equal_losses"] else "OTHER"
        parts.append(f"{word} losses ({result['largest_difference']:.1e})")
    return ", ".join(parts)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
