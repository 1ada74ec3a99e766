"""Compiles a program for a TPU that is not here: `compiler.py STEP.hlo v3:2x2 8 FOLDER`.

This file runs with the Python of an environment of its own (`make setup-tpu-compiler`), which
has jax and libtpu, and neither TensorFlow nor this project. jax and TensorFlow each bring a
runtime of their own and are not imported into one process.

It writes two files: `compiled.json`, the compiler's figures of one replica, and `program.txt`,
the program that the TPU would execute. A program that does not fit into the memory of a core
has only `compiled.json`, with the compiler's message.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

# Otherwise libtpu waits for Google's metadata server, jax looks for a TPU, and libtpu is not
# loaded at all, because the commands that must not open a TPU set TPU_LOAD_LIBRARY=0.
_ENVIRONMENT = {
    "TPU_LOAD_LIBRARY": "1",
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}


def compile_program(hlo: bytes, topology: str, replicas: int) -> tuple[dict[str, Any], str]:
    """Compiles one replica's program with libtpu.

    Args:
        hlo: Serialized `HloModuleProto`.
        topology: Generation and shape as libtpu names them, such as `v5e:2x4`.
        replicas: Replicas of the program, one for each of the topology's first devices.

    Returns:
        The figures, bytes and operations of one replica, and the compiled program as text. Of
        a program that needs too much memory, the compiler's message in `error` and no text.
    """
    import numpy as np
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax._src.lib.mlir import ir
    from jax.errors import JaxRuntimeError
    from jax.experimental import topologies
    from jaxlib import _jax

    devices = topologies.get_topology_desc(topology_name=topology, platform="tpu").devices
    devices = devices[:replicas]
    client = devices[0].client
    figures: dict[str, Any] = {
        "device": devices[0].device_kind,
        "jax": metadata.version("jax"),
        "libtpu": metadata.version("libtpu"),
        "python": platform.python_version(),
    }
    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = replicas, 1
    options.device_assignment = xla_client.DeviceAssignment.create(
        np.array([[device.id] for device in devices])
    )
    with mlir.make_ir_context():
        module = ir.Module.parse(xla_client._xla.mlir.hlo_to_stablehlo(hlo))
        _remove_copies(module)
        began = time.perf_counter()
        try:
            executable = client.compile(module, _jax.DeviceList(tuple(devices)), options)
        except JaxRuntimeError as error:
            if not str(error).startswith("RESOURCE_EXHAUSTED"):
                raise
            return {**figures, "error": str(error)}, ""
    figures["seconds"] = time.perf_counter() - began
    memory = executable.get_compiled_memory_stats()
    figures["arguments"] = memory.argument_size_in_bytes
    figures["results"] = memory.output_size_in_bytes - memory.alias_size_in_bytes
    figures["temporaries"] = memory.temp_size_in_bytes
    figures["code"] = memory.generated_code_size_in_bytes
    costs = executable.cost_analysis()
    figures["flops"] = costs["flops"]
    figures["bytes_accessed"] = costs["bytes accessed"]
    return figures, executable.hlo_modules()[0].to_string()


def _remove_copies(module: Any) -> None:
    """Replaces each `mhlo.copy`, which the conversion leaves and libtpu refuses, by its operand."""

    def operations(operation: Any) -> Iterator[Any]:
        for region in operation.regions:
            for block in region:
                for child in block:
                    yield child.operation
                    yield from operations(child.operation)

    for copy in [o for o in operations(module.operation) if o.name == "mhlo.copy"]:
        copy.results[0].replace_all_uses_with(copy.operands[0])
        copy.erase()


def main(program: str, topology: str, replicas: str, folder: str) -> None:
    """Compiles the file `program` and writes the two files into `folder`."""
    os.environ.update(_ENVIRONMENT)
    figures, text = compile_program(Path(program).read_bytes(), topology, int(replicas))
    if text:
        Path(folder, "program.txt").write_text(text)
    Path(folder, "compiled.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
