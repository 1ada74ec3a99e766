"""Lowers the training step of a configuration to the program of one replica."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tensorflow.compiler.xla.service import hlo_pb2

from rejoinder.trainer.distribution.collectives import program_replica
from rejoinder.trainer.run import Run
from rejoinder.trainer.task import DualEncoderTask


@dataclass(frozen=True)
class LoweredStep:
    """The training step of one replica.

    The program's arguments are the tensors of the batch, the replica's index (int32 scalar),
    and the state: the model's and the optimizer's variables, the metrics, and constants. Its
    results are the loss (float32 scalar, the mean of this replica's pairs) and the new values
    of the variables that the step assigns.

    Attributes:
        hlo: The program before any optimization, a serialized `HloModuleProto` without names
            or paths of the process that made it, so that equal programs have equal bytes.
        features: Names of the batch's tensors, in the order of the arguments.
        state: Handles of variables, or constants, in the order of the arguments.
        aliases: Index of the argument that each result replaces, by index of the result. The
            loss, result 0, replaces none.
        replicas: Replicas of the program.
        step: The same step as a function of the batch and the replica's index, which XLA compiles
            for the CPU at the first call. It returns the loss, updates the variables and keeps
            them alive.
    """

    hlo: bytes
    features: tuple[str, ...]
    state: tuple[tf.Tensor, ...]
    aliases: dict[int, int]
    replicas: int
    step: Callable[[dict[str, tf.Tensor], tf.Tensor], tf.Tensor]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the program, in hexadecimal digits."""
        return hashlib.sha256(self.hlo).hexdigest()

    @property
    def state_bytes(self) -> int:
        """Bytes of all arguments in `state`."""
        return sum(value.nbytes for value in self.values())

    def values(self) -> Iterator[NDArray[Any]]:
        """Yields the present value of each argument in `state`."""
        for tensor in self.state:
            if tensor.dtype == tf.resource:
                kind = tensor._handle_data.shape_and_type[0].dtype
                tensor = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=kind)
            yield tensor.numpy()


def lower_step(run: Run, features: Mapping[str, NDArray[Any]], replicas: int = 1) -> LoweredStep:
    """Lowers the training step of one replica, with its collective operations.

    It makes the model with random weights and the optimizer, traces the step and converts it.
    It compiles and executes nothing.

    Args:
        run: The run; its configuration, the sizes of its encoder and the names of its corpora
            are used.
        features: One replica's features (`rejoinder.trainer.data.layout`); only their names,
            shapes and types are part of the program.
        replicas: Replicas of the program; with 1 it has no collective operation.
    """
    previous = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(run.dtype_policy)
    try:
        with tf.device("CPU:0"):
            return _lower(run, features, replicas)
    finally:
        tf_keras.mixed_precision.set_global_policy(previous)


def _lower(run: Run, features: Mapping[str, NDArray[Any]], replicas: int) -> LoweredStep:
    task = DualEncoderTask(run)
    task.data_set_names = [corpus.data_set.name for corpus in run.train_corpora]
    model = task.build_model()
    optimizer = task.create_optimizer(run.config.trainer.optimizer_config, run.config.runtime)
    metrics = task.build_metrics()
    # Slots that the trace made would be part of the program with their first values.
    optimizer._create_all_weights(task.variables_to_train(model))

    def step(batch: dict[str, tf.Tensor], replica: tf.Tensor) -> tf.Tensor:
        with program_replica(replicas, replica):
            return task.train_step(batch, model, optimizer, metrics)[task.loss]

    arguments = {name: tf.constant(array) for name, array in features.items()}, tf.constant(0)
    compiled = tf.function(step, jit_compile=True, autograph=False)
    module = hlo_pb2.HloModuleProto.FromString(
        compiled.experimental_get_compiler_ir(*arguments)(stage="hlo_serialized")
    )
    traced = compiled.get_concrete_function(*arguments)
    return LoweredStep(
        hlo=_without_names(module),
        features=tuple(sorted(features)),
        state=tuple(traced.captured_inputs),
        aliases={
            entry.output_shape_index[0]: entry.parameter_number
            for entry in module.input_output_alias.entries
        },
        replicas=replicas,
        step=compiled,
    )


def _without_names(module: Any) -> bytes:
    """Returns a module without the names that count functions, and without source paths."""
    module.name = module.entry_computation_name = "step"
    module.id = 0
    for computation in module.computations:
        entry = computation.id == module.entry_computation_id
        computation.name = "step" if entry else f"computation.{computation.id}"
        for instruction in computation.instructions:
            instruction.metadata.source_file = ""
            instruction.metadata.source_line = 0
    return bytes(module.SerializeToString(deterministic=True))
