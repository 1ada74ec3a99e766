"""Model Garden's task: the model, its data and one step of training or validation."""

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task, task_factory
from official.modeling import optimization
from official.modeling.optimization import ema_optimizer

from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.trainer import collectives, initialization
from rejoinder.trainer.collectives import sum_over_replicas
from rejoinder.trainer.config import DualEncoderTask
from rejoinder.trainer.data.corpora import open_corpora
from rejoinder.trainer.data.inputs import Shares, TrainInput, ValidationInput
from rejoinder.trainer.encoding import encode_rows, row_features, split_pairs
from rejoinder.trainer.gradients import gradients
from rejoinder.trainer.loss import LossOptions, contrastive_loss

_MIN_SCALE = 1.0  # a learned scale stays above: below, the softmax tells nothing apart


@task_factory.register_task_cls(DualEncoderTask)
class DualEncoder(base_task.Task):
    """Trains one encoder for contexts and responses by in-batch negatives.

    Args:
        params: Configuration.
        base: What the weights and the tokenizer come from (`initialization.find_base`).
        clip_norm: Bound of the global norm of the summed gradient; 0 does not bound.
    """

    def __init__(self, params: DualEncoderTask, base: "initialization.Base", clip_norm: float):
        super().__init__(params)
        self.base = base
        self._clip_norm = clip_norm
        self._options = LossOptions(
            symmetric=params.loss.symmetric,
            mask_duplicates=params.loss.mask_duplicates,
            mask_same_thread=params.loss.mask_same_thread,
            log_q=params.loss.log_q,
            margin=params.loss.margin,
            dims=initialization.loss_dims(params, base.config.hidden_size),
        )
        self.log_scale: tf.Variable | None = None
        self.source_names: list[str] = []

    def build_model(self) -> SentenceEncoder:
        """Returns the encoder with random weights; `initialize` loads those to start from."""
        tf_keras.utils.set_random_seed(self.task_config.seed)
        encoder = SentenceEncoder(
            self.base.config, frozen_layers=self.task_config.model.frozen_layers
        )
        self.log_scale = tf.Variable(
            np.log(self.task_config.loss.scale),
            trainable=self.task_config.loss.learn_scale,
            dtype=tf.float32,
            name="log_scale",
        )
        return encoder

    def initialize(self, model: SentenceEncoder) -> None:
        """Loads the weights to start from, when there is no checkpoint to go on with."""
        initialization.load_weights(model, self.base, self.task_config.model)

    def build_inputs(self, params, input_context=None):
        """Returns the function from step to batch; `params` is train_data or validation_data."""
        del input_context
        shares = Shares.of(tf.distribute.get_strategy())
        training = params is self.task_config.train_data
        key = "task.train_data" if training else "task.validation_data"
        corpora = open_corpora(params, key)
        initialization.check_tokenizer(self.base, corpora)
        if training:
            return TrainInput(self.task_config, corpora, shares)
        return ValidationInput(self.task_config, corpora, shares)

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """Returns the metrics of a step."""
        if not training:
            return [tf_keras.metrics.Mean("accuracy")]
        metrics = [
            tf_keras.metrics.Mean("accuracy"),
            tf_keras.metrics.Mean("gradient_norm"),
            tf_keras.metrics.Mean("scale"),
        ]
        if len(self.source_names) > 1:
            metrics.append(
                tf_keras.metrics.MeanTensor("source_loss", shape=[len(self.source_names)])
            )
        return metrics

    def variables_to_train(self, model: SentenceEncoder) -> list[tf.Variable]:
        """Returns the variables that the optimizer updates."""
        assert self.log_scale is not None
        learned = [self.log_scale] if self.log_scale.trainable else []
        return [*model.trainable_variables, *learned]

    def train_step(self, inputs, model, optimizer, metrics=None):
        """Runs one step on one replica: gradient, sum over replicas, clip, update."""
        config = self.task_config
        variables = self.variables_to_train(model)
        seed = step_seed(config.seed, optimizer.iterations)
        grads, result = gradients(
            model,
            inputs,
            lambda context, response: contrastive_loss(
                context, response, self.scale(), inputs, self._options
            ),
            variables,
            max_segments=config.train_data.max_segments,
            chunks=config.grad_cache_chunks,
            seed=seed,
        )
        grads = sum_over_replicas(grads)
        norm = tf.linalg.global_norm(grads)
        if self._clip_norm:
            grads, _ = tf.clip_by_global_norm(grads, self._clip_norm, use_norm=norm)
        apply_summed(optimizer, zip(grads, variables, strict=True))
        self._update_metrics(metrics or [], inputs, result, norm)
        return {self.loss: tf.reduce_mean(result.per_pair)}

    def validation_step(self, inputs, model, metrics=None):
        """Scores one replica's pairs against each other; replicas do not share negatives."""
        places = encode_rows(
            model, row_features(inputs), self.task_config.validation_data.max_segments, None
        )
        context, response = split_pairs(places, inputs)
        logits = self.scale() * tf.matmul(context, response, transpose_b=True)
        labels = tf.range(logits.shape[0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels)
        for metric in metrics or []:
            metric.update_state(tf.cast(hits, tf.float32))
        return {self.loss: tf.reduce_mean(losses)}

    def scale(self) -> tf.Tensor:
        """Returns the factor on the cosine similarities."""
        assert self.log_scale is not None
        if not self.task_config.loss.learn_scale:
            return tf.constant(self.task_config.loss.scale)
        low, high = np.log(_MIN_SCALE), np.log(self.task_config.loss.max_scale)
        return tf.exp(tf.clip_by_value(self.log_scale, low, high))

    def _update_metrics(self, metrics, inputs, result, norm) -> None:
        for metric in metrics:
            if metric.name == "accuracy":
                metric.update_state(result.correct)
            elif metric.name == "gradient_norm":
                metric.update_state(norm)
            elif metric.name == "scale":
                metric.update_state(self.scale())
            elif metric.name == "source_loss":
                count = len(self.source_names)
                sums = tf.math.unsorted_segment_sum(result.per_pair, inputs["source"], count)
                ones = tf.ones_like(result.per_pair)
                pairs = tf.math.unsorted_segment_sum(ones, inputs["source"], count)
                metric.update_state(tf.math.divide_no_nan(sums, pairs), sample_weight=pairs)


def apply_summed(optimizer, grads_and_vars) -> None:
    """Applies gradients that are summed over replicas already: no second sum, no second clip."""
    average = isinstance(optimizer, optimization.ExponentialMovingAverage)
    inner = optimizer._optimizer if average else optimizer
    inner.apply_gradients(grads_and_vars, experimental_aggregate_gradients=False)
    if average:
        strategy = tf.distribute.get_strategy()
        ema_optimizer.maybe_merge_call(optimizer.update_average, strategy)


def step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns the dropout seed (int32 [2]) of a step on this replica: the same in every run."""
    folded = tf.random.experimental.stateless_fold_in([seed, 0], tf.cast(step, tf.int32))
    return tf.random.experimental.stateless_fold_in(folded, collectives.replica_id())
