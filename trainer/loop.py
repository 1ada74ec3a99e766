"""The inner training loop: Model Garden's trainer with our batches and task."""

import signal
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import base_trainer

from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.trainer.averaging import WeightAverage
from rejoinder.trainer.data.inputs import TrainInput, ValidationInput
from rejoinder.trainer.data.prefetch import Prefetcher
from rejoinder.trainer.data_sets import loss_tag
from rejoinder.trainer.distribution.hosts import Host
from rejoinder.trainer.exact_checkpoint import ExactCheckpoint
from rejoinder.trainer.run import Run
from rejoinder.trainer.task import DualEncoderTask
from rejoinder.trainer.throughput import Throughput


class Stopped(Exception):  # noqa: N818 - not an error
    """SIGTERM or SIGINT arrived; the current step is finished, no checkpoint is written yet."""

    def __init__(self, signal_number: int, host: Host | None = None):
        name = signal.Signals(signal_number).name
        super().__init__(f"{name} to {host}" if host else name)
        self.signal_number = signal_number


class Trainer(base_trainer.Trainer):
    """Model Garden's trainer with batches by step number.

    Attributes:
        total: Counts of all steps of this process.
        evaluated_step: Step of its last complete evaluation; None before.
        stop_signal: Number of the signal that asked this host to stop, 0 before.
        scorer: Function from the model to further metrics of an evaluation, or None.

    Args:
        run: The run; the trainer is made in the scope of its strategy.
        task: The task of the same run.
    """

    def __init__(self, run: Run, task: DualEncoderTask):
        config = run.config
        model = task.build_model()
        optimizer = task.create_optimizer(config.trainer.optimizer_config, config.runtime)
        self._train_input: TrainInput | None = None
        self._validation_input: ValidationInput | None = None
        if run.trains:
            self._train_input = task.build_inputs(config.task.train_data)
            task.data_set_names = self._train_input.names
        if run.evaluates:
            self._validation_input = task.build_inputs(config.task.validation_data)
            steps = config.trainer.validation_steps
            task.validation_names = self._validation_input.evaluated(steps)
        super().__init__(
            config,
            task,
            model,
            optimizer,
            train=run.trains,
            evaluate=run.evaluates,
            train_dataset=self._train_input,
            validation_dataset=self._validation_input,
        )
        self._create_optimizer_variables()
        self._checkpoint = ExactCheckpoint(
            trains=run.trains,
            global_step=self.global_step,
            model=self.model,
            optimizer=self.optimizer,
            log_scale=task.log_scale,
        )
        self.total = Throughput()
        self.evaluated_step: int | None = None
        self.stop_signal = 0
        self.scorer: Callable[[SentenceEncoder], dict[str, float]] | None = None
        self._hosts = run.hosts
        self._initialized = False
        self._prefetcher: Prefetcher | None = None
        self._compiled_step = tf.function(self._replicated_step, autograph=False)
        self._compiled_evaluation = tf.function(self._replicated_evaluation, autograph=False)

    @property
    def train_input(self) -> TrainInput | None:
        """The training batches."""
        return self._train_input

    @property
    def validation_input(self) -> ValidationInput | None:
        """The validation batches."""
        return self._validation_input

    @property
    def checkpoint_exporter(self) -> Any:
        """What saves the best weights (`rejoinder.trainer.best`), or None."""
        return self._checkpoint_exporter

    @checkpoint_exporter.setter
    def checkpoint_exporter(self, exporter: Any) -> None:
        self._checkpoint_exporter = exporter

    def initialize(self) -> None:
        """Loads the initial weights, once; the runner calls it again without a checkpoint."""
        if not self._initialized:
            self.task.initialize(self.model)
            if isinstance(self.optimizer, WeightAverage):
                self.optimizer.start()
            self._initialized = True

    def _create_optimizer_variables(self) -> None:
        """Creates the optimizer's slots now, so that restoring a checkpoint fills all of them."""
        variables = self.task.variables_to_train(self.model)
        with tf.init_scope(), self.strategy.scope():
            self.optimizer._create_all_weights(variables)

    def train(self, num_steps: tf.Tensor) -> dict[str, float]:
        """Runs `num_steps` steps and returns their metrics.

        Raises:
            Stopped: A signal asked a host to stop; the weights are those after the current
                step, which is the same on all hosts.
        """
        assert self._train_input is not None
        step = int(self.global_step.numpy())
        if self._prefetcher is None or self._prefetcher.next_step != step:
            self.close()
            self._prefetcher = Prefetcher(
                self._train_input,
                self.strategy,
                first=step,
                last=self.config.trainer.train_steps,
                prefetch=self.config.task.train_data.prefetch,
            )
        latest = Throughput()
        began = time.monotonic()
        try:
            for _ in range(int(num_steps)):
                batch = next(self._prefetcher)
                self._compiled_step(batch.inputs)
                latest.add_step(batch.host_batch, self._train_input.names)
                self._stop_if_asked()
            logs = {name: _value(value) for name, value in self.train_loop_end().items()}
        finally:
            latest.seconds = time.monotonic() - began
            self.total.add(latest)
        by_data_set = logs.pop("data_set_loss", None)
        if by_data_set is not None:
            for name, value in zip(self.task.data_set_names, by_data_set, strict=True):
                if value:  # 0 means that these steps had no pair of the data set
                    logs[loss_tag(name)] = float(value)
        return logs | latest.metrics()

    def _stop_if_asked(self) -> None:
        signals = self._hosts.gather(self.stop_signal)
        for host, number in zip(self._hosts.members or (None,), signals, strict=True):
            if number:
                raise Stopped(number, host)

    def close(self) -> None:
        """Stops the thread that makes batches."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def evaluate(self, num_steps: tf.Tensor) -> dict[str, float]:
        """Scores the validation pairs (all of them for -1) and returns the metrics."""
        assert self._validation_input is not None
        self.eval_begin()
        last = self._validation_input.batches
        if int(num_steps) > 0:
            last = min(last, int(num_steps))
        for batch in Prefetcher(self._validation_input, self.strategy, last=last):
            self._compiled_evaluation(batch.inputs)
        scores = self.scorer(self.model) if self.scorer else None
        logs = {name: _value(value) for name, value in self.eval_end(scores).items()}
        self.evaluated_step = int(self.global_step.numpy())
        return logs

    def _replicated_step(self, inputs: Any) -> None:
        # Only a step on one replica can be compiled as a whole here: with several replicas,
        # the TPU runtime compiles the step, and CPU and GPU runtimes cannot.
        xla = self.config.runtime.enable_xla and self.strategy.num_replicas_in_sync == 1
        train_step = (
            tf.function(self.task.train_step, jit_compile=True, autograph=False) if xla else None
        )

        def step(features: dict[str, tf.Tensor]) -> None:
            logs = (train_step or self.task.train_step)(
                features, model=self.model, optimizer=self.optimizer, metrics=self.train_metrics
            )
            self._train_loss.update_state(logs[self.task.loss])
            self.global_step.assign_add(1)

        self.strategy.run(step, args=(inputs,), options=self._runtime_options)

    def _replicated_evaluation(self, inputs: Any) -> None:
        def step(features: dict[str, tf.Tensor]) -> None:
            logs = self.task.validation_step(
                features, model=self.model, metrics=self.validation_metrics
            )
            self._validation_loss.update_state(logs[self.task.loss])

        self.strategy.run(step, args=(inputs,))


def _value(value: Any) -> Any:
    """Returns a metric's value as a float, or as a numpy array."""
    array = tf_keras.backend.get_value(value) if hasattr(value, "numpy") else value
    return float(array) if getattr(array, "ndim", 0) == 0 else array
