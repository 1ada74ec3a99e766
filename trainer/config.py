"""The experiment `rejoinder/dual_encoder`: every key a configuration file may set.

Model Garden's conventions: the classes below give names, types and defaults, a
YAML file overrides them, `--params_override` overrides the file. Optimizer,
schedule, trainer and runtime keys are Model Garden's own.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import optimization
from official.modeling.hyperparams import base_config

EXPERIMENT = "rejoinder/dual_encoder"


@dataclasses.dataclass
class EncoderModel(base_config.Config):
    """The sentence encoder.

    Attributes:
        init_from: Folder or hub name whose weights training starts from
            (sentence-transformers, Hugging Face, or one of our model folders).
            Empty: random weights of the sizes below.
        tokenizer: Tokenizer folder; needed without `init_from`, else that of `init_from`.
        max_length: Token ids of one sentence, with `<s>` and `</s>`.
        frozen_layers: Lowest layers that keep their weights, as do the embeddings below
            them; they drop nothing out and cost no backward pass. 0 trains all.
        num_hidden_layers: Layers (this and the sizes below count for random weights only).
        hidden_size: Width.
        num_attention_heads: Heads.
        intermediate_size: Width inside the feed-forward block.
        hidden_dropout_prob: Dropout of embeddings and layer outputs; None takes that of
            `init_from`, 0.1 for random weights.
        attention_probs_dropout_prob: Dropout of attention weights; None as above.
        embedding_stddev: Standard deviation of random word embeddings. Above that of the
            position embeddings (0.02) the untrained encoder is a bag of words, which a
            small corpus can improve on much sooner than on noise.
    """

    init_from: str = ""
    tokenizer: str = ""
    max_length: int = 128
    frozen_layers: int = 0
    num_hidden_layers: int = 12
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float | None = None
    attention_probs_dropout_prob: float | None = None
    embedding_stddev: float = 0.02


@dataclasses.dataclass
class Loss(base_config.Config):
    """The contrastive loss (`rejoinder.trainer.loss`).

    Attributes:
        symmetric: Mean of both directions; False: context to response only.
        scale: Factor on the cosine similarities (the inverse temperature).
        learn_scale: Whether `scale` is learned, in the log domain.
        max_scale: Upper bound of a learned scale.
        mask_duplicates: Whether equal texts in the batch are no negatives of each other.
        mask_same_thread: Whether pairs of one thread are no negatives of each other.
        log_q: Whether to correct for how often a text occurs.
        margin: Subtracted from the cosine similarity of the true pair.
        matryoshka_dims: Prefixes of the embedding that are trained beside the whole.
    """

    symmetric: bool = True
    scale: float = 20.0
    learn_scale: bool = False
    max_scale: float = 100.0
    mask_duplicates: bool = True
    mask_same_thread: bool = False
    log_q: bool = False
    margin: float = 0.0
    matryoshka_dims: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class PairData(base_config.Config):
    """Pairs to train or validate on.

    Attributes:
        input_path: A corpus folder, or a folder of corpora that `data_config` names.
        data_config: `data_config.json`: names and weights of the corpora under `input_path`.
        split: `train` or `test`.
        global_batch_size: Pairs of one step over all replicas.
        weighting: `weights` (of data_config), `proportional` or `temperature`.
        temperature: For `temperature`.
        datasets_per_batch: Parts of a batch that are drawn on their own.
        shuffle_window: Pairs shuffled together; bounds the memory of the sampler.
        shuffle: Whether to shuffle at all.
        seed: Seed of the data order.
        layout: `packed` (several sentences to a row), `bucketed` (padded to the smallest
            of `bucket_lengths` that holds the batch) or `padded` (to max_length).
        row_length: Tokens of a packed row; 0 takes the model's max_length. Shorter rows make
            attention cheaper; sentences that do not fit are cut to it (`cut_tokens`).
        rows_per_replica: Packed rows of one replica; 0 finds the number from the data.
        row_counts: Numbers of rows found from the data, of which a batch takes the smallest
            that holds it. More than 1 leaves small batches less padding, and compiles the
            step once for each.
        max_segments: Sentences in one packed row at most.
        bucket_lengths: For `bucketed`; max_length is always one.
        prefetch: Batches made ready beside the training step.
    """

    input_path: str = ""
    data_config: str = ""
    split: str = "train"
    global_batch_size: int = 1024
    weighting: str = "weights"
    temperature: float = 1.0
    datasets_per_batch: int = 1
    shuffle_window: int = 1_000_000
    shuffle: bool = True
    seed: int = 0
    layout: str = "packed"
    row_length: int = 0
    rows_per_replica: int = 0
    row_counts: int = 1
    max_segments: int = 32
    bucket_lengths: list[int] = dataclasses.field(default_factory=lambda: [32, 64])
    prefetch: int = 4


@dataclasses.dataclass
class DualEncoderTask(cfg.TaskConfig):
    """What is trained, on what, towards what.

    Attributes:
        model: The encoder.
        loss: The loss.
        train_data: Pairs to train on.
        validation_data: Pairs to evaluate on; `input_path` empty takes that of `train_data`.
        grad_cache_chunks: Pieces the batch of a replica is encoded in; above 1, only one
            piece's activations are in memory at a time, with the same gradient.
        seed: Seed of random weights and of dropout.
    """

    model: EncoderModel = dataclasses.field(default_factory=EncoderModel)
    loss: Loss = dataclasses.field(default_factory=Loss)
    train_data: PairData = dataclasses.field(default_factory=PairData)
    validation_data: PairData = dataclasses.field(
        default_factory=lambda: PairData(split="test", global_batch_size=100, shuffle=False)
    )
    grad_cache_chunks: int = 1
    seed: int = 0


@dataclasses.dataclass
class DualEncoderTrainer(cfg.TrainerConfig):
    """Model Garden's trainer keys and ours.

    Attributes:
        early_stopping_patience: Evaluations without a better `best_checkpoint_eval_metric`
            after which training ends; 0 never ends it early.
        async_checkpoints: Whether checkpoints are written beside the training steps.
        deterministic: Whether every op gives the same bits in every run (slower).
    """

    early_stopping_patience: int = 0
    async_checkpoints: bool = False
    deterministic: bool = False


@dataclasses.dataclass
class DualEncoderExperiment(cfg.ExperimentConfig):
    """The whole configuration."""

    task: DualEncoderTask = dataclasses.field(default_factory=DualEncoderTask)
    trainer: DualEncoderTrainer = dataclasses.field(default_factory=DualEncoderTrainer)
    runtime: cfg.RuntimeConfig = dataclasses.field(
        default_factory=lambda: cfg.RuntimeConfig(distribution_strategy="one_device")
    )


@exp_factory.register_config_factory(EXPERIMENT)
def dual_encoder() -> DualEncoderExperiment:
    """Returns the defaults: the published recipe but for data, weights and steps."""
    return DualEncoderExperiment(
        trainer=DualEncoderTrainer(
            train_steps=10_000,
            steps_per_loop=100,
            summary_interval=100,
            checkpoint_interval=1_000,
            validation_interval=1_000,
            validation_steps=-1,
            # Collectives inside tf.while hang or serialize on several CPU or GPU
            # devices, so the loop around the step is Python's.
            train_tf_while_loop=False,
            # Without recovery a loss that is no number ends the run (`rejoinder.trainer.run`).
            recovery_max_trials=-1,
            # SIGTERM is handled by the loop itself, which finishes the step at hand.
            preemption_on_demand_checkpoint=False,
            best_checkpoint_eval_metric="accuracy",
            optimizer_config=optimization.OptimizationConfig(
                {
                    "optimizer": {
                        "type": "adamw",
                        "adamw": {
                            "epsilon": 1e-6,
                            "weight_decay_rate": 0.0,
                            "exclude_from_weight_decay": ["layer_norm", "bias"],
                            "gradient_clip_norm": 1.0,
                        },
                    },
                    # decay_steps and offset are set from train_steps and warmup_steps
                    # (`trainer.resolve`), so that warm-up ends exactly at the peak.
                    "learning_rate": {
                        "type": "polynomial",
                        "polynomial": {
                            "initial_learning_rate": 2e-5,
                            "end_learning_rate": 0.0,
                        },
                    },
                    "warmup": {"type": "linear", "linear": {"warmup_steps": 500}},
                }
            ),
        )
    )
