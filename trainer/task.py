"""Model Garden's task: the model, its data and one step of training or validation."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task
from official.modeling.optimization import ema_optimizer

from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.trainer.averaging import WeightAverage, with_exact_average
from rejoinder.trainer.config import PairData
from rejoinder.trainer.data.inputs import Shares, TrainInput, ValidationInput
from rejoinder.trainer.data_sets import accuracy_tag, accuracy_tags
from rejoinder.trainer.distribution import collectives
from rejoinder.trainer.distribution.collectives import sum_over_replicas
from rejoinder.trainer.encoding import encode_rows, row_features, split_pairs
from rejoinder.trainer.gradients import gradients
from rejoinder.trainer.initialization import load_weights
from rejoinder.trainer.loss import LossResult
from rejoinder.trainer.multi_context import pair_loss
from rejoinder.trainer.run import Run

_MIN_SCALE = 1.0  # lower bound of a learned scale: below, the softmax is almost uniform


class DualEncoderTask(base_task.Task):
    """Trains one encoder for contexts and responses with in-batch negatives.

    Attributes:
        log_scale: Logarithm of the factor on the cosine similarities; None before
            `build_model`.
        data_set_names: Names of the data sets to train on, for their losses.
        validation_names: Names of the data sets to evaluate on, by index, for their accuracies.

    Args:
        run: The run.
    """

    def __init__(self, run: Run):
        super().__init__(run.config.task)
        self._run = run
        self.log_scale: tf.Variable | None = None
        self.data_set_names: list[str] = []
        self.validation_names: dict[int, str] = {}

    def build_model(self) -> SentenceEncoder:
        """Returns the encoder with random weights; `initialize` loads the initial weights."""
        tf_keras.utils.set_random_seed(self.task_config.seed)
        encoder = SentenceEncoder(
            self._run.base.config,
            recompute=self.task_config.model.recompute,
            frozen_layers=self.task_config.model.frozen_layers,
        )
        self.log_scale = tf.Variable(
            np.log(self.task_config.loss.scale),
            trainable=self.task_config.loss.learn_scale,
            dtype=tf.float32,
            name="log_scale",
        )
        return encoder

    def initialize(self, model: SentenceEncoder) -> None:
        """Loads the initial weights; called if there is no checkpoint to continue from."""
        load_weights(model, self._run.base, self.task_config.model)

    @classmethod
    def create_optimizer(
        cls, optimizer_config: Any, runtime_config: Any = None, dp_config: Any = None
    ) -> Any:
        """Returns the optimizer of a configuration."""
        optimizer = super().create_optimizer(optimizer_config, runtime_config, dp_config)
        return with_exact_average(optimizer, optimizer_config)

    def build_inputs(self, params: PairData, input_context: Any = None) -> Any:
        """Returns the function from step to batch; `params` is train_data or validation_data."""
        del input_context
        shares = Shares.of(tf.distribute.get_strategy())
        if params is self.task_config.train_data:
            return TrainInput(self.task_config, self._run.train_corpora, shares)
        return ValidationInput(self.task_config, self._run.validation_corpora, shares)

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """Returns the metrics of a step."""
        if not training:
            tags = accuracy_tags(list(self.validation_names.values()))
            return [tf_keras.metrics.Mean(tag) for tag in ("accuracy", *tags)]
        metrics = [
            tf_keras.metrics.Mean("accuracy"),
            tf_keras.metrics.Mean("gradient_norm"),
            tf_keras.metrics.Mean("scale"),
        ]
        if len(self.data_set_names) > 1:
            metrics.append(
                tf_keras.metrics.MeanTensor("data_set_loss", shape=[len(self.data_set_names)])
            )
        return metrics

    def variables_to_train(self, model: SentenceEncoder) -> list[tf.Variable]:
        """Returns the variables that the optimizer updates."""
        assert self.log_scale is not None
        learned = [self.log_scale] if self.log_scale.trainable else []
        return [*model.trainable_variables, *learned]

    def train_step(
        self,
        inputs: dict[str, tf.Tensor],
        model: SentenceEncoder,
        optimizer: Any,
        metrics: Sequence[tf_keras.metrics.Metric] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Runs one step on one replica: gradient, sum over replicas, clip, update."""
        config = self.task_config
        variables = self.variables_to_train(model)
        seed = step_seed(config.seed, optimizer.iterations)
        grads, result = gradients(
            model,
            inputs,
            lambda *columns: pair_loss(columns, self.scale(), inputs, config.loss),
            variables,
            max_segments=config.train_data.max_segments,
            chunks=config.grad_cache_chunks,
            seed=seed,
        )
        grads = sum_over_replicas(grads)
        norm = tf.linalg.global_norm(grads)
        if self._run.clip_norm:
            grads, _ = tf.clip_by_global_norm(grads, self._run.clip_norm, use_norm=norm)
        apply_summed(optimizer, zip(grads, variables, strict=True))
        self._update_metrics(metrics or [], inputs, result, norm)
        return {self.loss: tf.reduce_mean(result.per_pair)}

    def validation_step(
        self,
        inputs: dict[str, tf.Tensor],
        model: SentenceEncoder,
        metrics: Sequence[tf_keras.metrics.Metric] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Scores one replica's pairs against each other; replicas do not share negatives."""
        segments = encode_rows(
            model, row_features(inputs), self.task_config.validation_data.max_segments, None
        )
        context, response = split_pairs(segments, inputs)
        logits = self.scale() * tf.matmul(context, response, transpose_b=True)
        labels = tf.range(logits.shape[0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels)
        found = {metric.name: metric for metric in metrics or []}
        if "accuracy" in found:
            found["accuracy"].update_state(tf.cast(hits, tf.float32))
        for index, name in self.validation_names.items():
            if metric := found.get(accuracy_tag(name)):
                own = tf.cast(inputs["data_set"] == index, tf.float32)
                metric.update_state(tf.cast(hits, tf.float32), sample_weight=own)
        return {self.loss: tf.reduce_mean(losses)}

    def reduce_aggregated_logs(
        self, aggregated_logs: dict[str, float], global_step: tf.Tensor | None = None
    ) -> dict[str, float]:
        """Returns the scores that an evaluation adds to the metrics of its steps."""
        del global_step
        return aggregated_logs

    def scale(self) -> tf.Tensor:
        """Returns the factor on the cosine similarities."""
        assert self.log_scale is not None
        if not self.task_config.loss.learn_scale:
            return tf.constant(self.task_config.loss.scale)
        low, high = np.log(_MIN_SCALE), np.log(self.task_config.loss.max_scale)
        return tf.exp(tf.clip_by_value(self.log_scale, low, high))

    def _update_metrics(
        self,
        metrics: Sequence[tf_keras.metrics.Metric],
        inputs: dict[str, tf.Tensor],
        result: LossResult,
        norm: tf.Tensor,
    ) -> None:
        for metric in metrics:
            if metric.name == "accuracy":
                metric.update_state(result.correct)
            elif metric.name == "gradient_norm":
                metric.update_state(norm)
            elif metric.name == "scale":
                metric.update_state(self.scale())
            elif metric.name == "data_set_loss":
                count = len(self.data_set_names)
                sums = tf.math.unsorted_segment_sum(result.per_pair, inputs["data_set"], count)
                ones = tf.ones_like(result.per_pair)
                pairs = tf.math.unsorted_segment_sum(ones, inputs["data_set"], count)
                metric.update_state(tf.math.divide_no_nan(sums, pairs), sample_weight=pairs)


def apply_summed(optimizer: Any, grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]]) -> None:
    """Applies gradients that are already summed and clipped, without doing either again."""
    average = isinstance(optimizer, WeightAverage)
    inner = optimizer._optimizer if average else optimizer
    inner.apply_gradients(grads_and_vars, experimental_aggregate_gradients=False)
    if average:
        strategy = tf.distribute.get_strategy()
        ema_optimizer.maybe_merge_call(optimizer.update_average, strategy)


def step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns the dropout seed (int32 [2]) of a step on this replica, the same in every run."""
    folded = tf.random.experimental.stateless_fold_in([seed, 0], tf.cast(step, tf.int32))
    return tf.random.experimental.stateless_fold_in(folded, collectives.replica_id())
