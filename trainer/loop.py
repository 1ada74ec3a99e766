"""The training loop's inside: orbit's trainer over our feed and task."""

import signal
import time
from dataclasses import dataclass

import tensorflow as tf
import tf_keras
from official.core import base_trainer

from rejoinder.trainer.config import DualEncoderExperiment
from rejoinder.trainer.data.inputs import TrainInput, ValidationInput
from rejoinder.trainer.data.prefetch import Feed
from rejoinder.trainer.task import DualEncoder


class Stopped(Exception):  # noqa: N818 - no error: the run ends as asked
    """SIGTERM or SIGINT came: the step at hand is finished, a checkpoint is due."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


@dataclass
class Consumption:
    """What training steps used up.

    Attributes:
        steps: Steps.
        pairs: Pairs, over all hosts.
        tokens: Real tokens of this host.
        capacity: Token places of this host, padding included.
        cut: Tokens cut off this host's longest sentences because rows were full.
        seconds: Wall time of the steps.
    """

    steps: int = 0
    pairs: int = 0
    tokens: int = 0
    capacity: int = 0
    cut: int = 0
    seconds: float = 0.0


class Trainer(base_trainer.Trainer):
    """Model Garden's trainer with batches by step number.

    Attributes:
        total: What all steps of this process used up.
        stop_signal: Number of the signal that asked to stop, 0 before.
    """

    def __init__(
        self,
        config: DualEncoderExperiment,
        task: DualEncoder,
        *,
        train: bool,
        evaluate: bool,
        checkpoint_exporter=None,
    ):
        model = task.build_model()
        optimizer = task.create_optimizer(config.trainer.optimizer_config, config.runtime)
        task_config = config.task
        self._train_input: TrainInput | None = None
        self._validation_input: ValidationInput | None = None
        if train:
            self._train_input = task.build_inputs(task_config.train_data)
            task.source_names = self._train_input.names
        if evaluate:
            self._validation_input = task.build_inputs(task_config.validation_data)
        super().__init__(
            config,
            task,
            model,
            optimizer,
            train=train,
            evaluate=evaluate,
            train_dataset=self._train_input,
            validation_dataset=self._validation_input,
            checkpoint_exporter=checkpoint_exporter,
        )
        self._create_optimizer_variables()
        self._checkpoint = tf.train.Checkpoint(
            global_step=self.global_step,
            model=self.model,
            optimizer=self.optimizer,
            log_scale=task.log_scale,
        )
        self.total = Consumption()
        self.stop_signal = 0
        self._feed: Feed | None = None
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

    def _create_optimizer_variables(self) -> None:
        """Makes the optimizer's slots now, so that restoring a checkpoint fills them at once."""
        variables = self.task.variables_to_train(self.model)
        with tf.init_scope(), self.strategy.scope():
            self.optimizer._create_all_weights(variables)

    def train(self, num_steps: tf.Tensor):
        """Runs `num_steps` steps and returns their metrics.

        Raises:
            Stopped: a signal asked to stop; the metrics so far are lost, the weights are not.
        """
        assert self._train_input is not None
        step = int(self.global_step.numpy())
        if self._feed is None or self._feed.next_step != step:
            self.close()
            self._feed = Feed(
                self._train_input,
                self.strategy,
                first=step,
                last=self.config.trainer.train_steps,
                prefetch=self.config.task.train_data.prefetch,
            )
        used = Consumption()
        began = time.monotonic()
        for _ in range(int(num_steps)):
            fed = next(self._feed)
            self._compiled_step(fed.inputs)
            used.steps += 1
            used.pairs += self.config.task.train_data.global_batch_size
            used.tokens += fed.arranged.tokens
            used.capacity += fed.arranged.capacity
            used.cut += fed.arranged.cut
            if self.stop_signal:
                raise Stopped(self.stop_signal)
        logs = {name: _value(value) for name, value in self.train_loop_end().items()}
        used.seconds = time.monotonic() - began
        for name in vars(used):
            setattr(self.total, name, getattr(self.total, name) + getattr(used, name))
        logs["pairs_per_second"] = used.pairs / used.seconds
        logs["tokens_per_second"] = used.tokens / used.seconds
        logs["real_tokens"] = used.tokens / used.capacity
        logs["cut_tokens"] = used.cut / max(used.tokens, 1)
        by_source = logs.pop("source_loss", None)
        if by_source is not None:
            for name, value in zip(self.task.source_names, by_source, strict=True):
                if value:  # 0 stands for a data set of which these steps saw no pair
                    logs[f"loss_{name.replace('/', '_')}"] = float(value)
        return logs

    def close(self) -> None:
        """Ends the thread that makes batches."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def evaluate(self, num_steps: tf.Tensor):
        """Scores the validation pairs (all of them for -1) and returns the metrics."""
        assert self._validation_input is not None
        self.eval_begin()
        last = self._validation_input.batches
        if int(num_steps) > 0:
            last = min(last, int(num_steps))
        feed = Feed(self._validation_input, self.strategy, last=last)
        for fed in feed:
            self._compiled_evaluation(fed.inputs)
        return {name: _value(value) for name, value in self.eval_end().items()}

    def _replicated_step(self, inputs) -> None:
        # Only one replica can be compiled as a whole here: with several, XLA's clusters
        # are made by the TPU runtime, or not at all on CPU and GPU.
        xla = self.config.runtime.enable_xla and self.strategy.num_replicas_in_sync == 1
        train_step = (
            tf.function(self.task.train_step, jit_compile=True, autograph=False) if xla else None
        )

        def step(features) -> None:
            logs = (train_step or self.task.train_step)(
                features, model=self.model, optimizer=self.optimizer, metrics=self.train_metrics
            )
            self._train_loss.update_state(logs[self.task.loss])
            self.global_step.assign_add(1)

        self.strategy.run(step, args=(inputs,), options=self._runtime_options)

    def _replicated_evaluation(self, inputs) -> None:
        def step(features) -> None:
            logs = self.task.validation_step(
                features, model=self.model, metrics=self.validation_metrics
            )
            self._validation_loss.update_state(logs[self.task.loss])

        self.strategy.run(step, args=(inputs,))


def _value(value):
    """Returns a metric's value as a float, or as a numpy array."""
    array = tf_keras.backend.get_value(value) if hasattr(value, "numpy") else value
    return float(array) if getattr(array, "ndim", 0) == 0 else array
