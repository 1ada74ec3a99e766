"""The environment in which TensorFlow drives a TPU of this machine, through libtpu and PJRT.

TensorFlow reads these variables when it is imported, so this module does not import it.
They are those of Keras's example for TPUs
(https://keras.io/keras_rs/examples/distributed_embedding_tf/).
"""

import importlib
from collections.abc import MutableMapping

from rejoinder.errors import UserError
from rejoinder.hardware import Hardware
from rejoinder.trainer.distribution.slices import check_one_host, count_hosts

_LIBRARY = "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"
_XLA_FLAGS = "TF_XLA_FLAGS"
# The compiler from TensorFlow's graphs to XLA that is written with MLIR.
_BRIDGE_FLAGS = (
    "--tf_mlir_enable_mlir_bridge=true",
    "--tf_mlir_enable_convert_control_to_data_outputs_pass=true",
    "--tf_mlir_enable_merge_control_flow_pass=true",
)


def set_environment(environment: MutableMapping[str, str], hardware: Hardware) -> None:
    """Sets what TensorFlow needs to find the TPU; variables that are set already are kept.

    Args:
        environment: The environment variables of the process.
        hardware: The accelerators of this machine.

    Raises:
        UserError: No TPU is here, libtpu is not installed, or this host is one of several of a
            TPU slice.
    """
    if not hardware.tpu_chips and not hardware.tpu_nodes:  # libtpu would end with SIGSEGV
        raise UserError(
            "--tpu local: this machine has no TPU, neither on the PCI bus nor as /dev/accel0; run "
            "the command on a TPU VM (docs/tpu.md), or without --tpu"
        )
    check_one_host("local", count_hosts(environment))
    try:
        library = importlib.import_module("libtpu").get_library_path()
    except ModuleNotFoundError as error:
        raise UserError(
            "--tpu local: libtpu is not installed in this environment; on a TPU VM run "
            "`make setup DEVICE=tpu` (docs/tpu.md)"
        ) from error
    environment.setdefault("PJRT_DEVICE", "TPU")
    environment.setdefault("NEXT_PLUGGABLE_DEVICE_USE_C_API", "true")
    environment.setdefault(_LIBRARY, library)
    given = environment.get(_XLA_FLAGS, "")
    missing = [flag for flag in _BRIDGE_FLAGS if flag.partition("=")[0] not in given]
    environment[_XLA_FLAGS] = " ".join([*filter(None, [given]), *missing])


def is_set(environment: MutableMapping[str, str]) -> bool:
    """Returns whether the variables were set, by `set_environment` or by the user."""
    return _LIBRARY in environment
