"""Every key that a configuration file may set, its type, its default and its meaning.

Model Garden's conventions: the classes below give names, types and defaults, a
YAML file overrides them, `--params-override` overrides the file. Optimizer,
schedule, trainer and runtime keys are Model Garden's own.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import optimization
from official.modeling.hyperparams import base_config


@dataclasses.dataclass
class ModelConfig(base_config.Config):
    """The sentence encoder.

    Attributes:
        init_from: Folder or hub name of the initial weights (sentence-transformers,
            Hugging Face, or a MODEL_DIR). Empty: random weights of the sizes below.
        tokenizer: Tokenizer folder. Empty: the tokenizer of `init_from`, or that of
            the first corpus.
        max_length: Maximum token ids of a sentence, with `<s>` and `</s>`.
        frozen_layers: Number of lowest layers that are not trained. The embeddings
            below them are not trained either. Frozen layers apply no dropout and need
            no backward pass. 0 trains everything.
        recompute: Whether the backward pass computes the activations of each layer
            again instead of storing them: much less memory for activations,
            for one more forward pass.
        num_hidden_layers: Layers (this and the sizes below apply to random weights only).
        hidden_size: Width of the hidden states.
        num_attention_heads: Attention heads.
        intermediate_size: Width inside the feed-forward block.
        hidden_dropout_prob: Dropout of embeddings and layer outputs. None: the value of
            `init_from`, or 0.1 for random weights.
        attention_probs_dropout_prob: Dropout of attention weights. None: as above.
        embedding_stddev: Standard deviation of random word embeddings. With a value
            above that of the position embeddings (0.02), the untrained encoder is a bag
            of words, which a small corpus improves much sooner than noise.
    """

    init_from: str = ""
    tokenizer: str = ""
    max_length: int = 128
    frozen_layers: int = 0
    recompute: bool = False
    num_hidden_layers: int = 12
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float | None = None
    attention_probs_dropout_prob: float | None = None
    embedding_stddev: float = 0.02


@dataclasses.dataclass
class LossOptions(base_config.Config):
    """The contrastive loss (`rejoinder.trainer.loss`).

    Attributes:
        symmetric: Mean of context→response and response→context, as in the script of
            the all-* models. False: context→response only (MultipleNegativesRankingLoss,
            https://arxiv.org/abs/1705.00652).
        scale: Factor on the cosine similarities (the inverse temperature).
        learn_scale: Whether `scale` is trained, as a logarithm.
        max_scale: Upper bound of a trained scale.
        mask_duplicates: Remove from a row's negatives every column whose text equals
            a text of the row's pair, or whose partner equals the row's own text.
        mask_threads: Remove from a row's negatives every column of the row's own thread: other
            captions of its picture in a corpus of `rejoinder pairs --linked`, other comments of
            its thread in one of `rejoinder preprocess --keep-text`.
        log_q: Subtract the logarithm of a column's frequency from its logit
            (Yi et al. 2019, https://doi.org/10.1145/3298689.3346996, equation 3).
        margin: Subtract this from the cosine similarity of the true pair
            (additive margin softmax, https://arxiv.org/abs/1902.08564, equation 5).
        matryoshka_dims: Widths of prefixes of the embedding whose losses are averaged
            with that of the whole embedding (https://arxiv.org/abs/2205.13147).
        hard_negatives: Hard negatives of each pair that the context→response direction scores
            as well; the corpora are made by `rejoinder mine`.
        extra_contexts: Earlier turns of each pair to train with: the mean of three losses, for the
            last turn, for the earlier turns as one text, and for both (ConveRT,
            https://arxiv.org/abs/1911.03688, section 2.2); the corpora are made by
            `rejoinder preprocess --extra-contexts`. 0: the last turn only.
        gather_negatives: Whether each context is scored against the hard negatives of all
            pairs of the batch, as MultipleNegativesRankingLoss of sentence-transformers does.
            False: against those of its own pair only.
        guide: Remove from a row's negatives every column that the model with which the corpora
            were mined finds closer to the row than its own partner (GISTEmbed,
            https://arxiv.org/abs/2402.16829); the corpora are made by `rejoinder mine --guide`.
    """

    symmetric: bool = True
    scale: float = 20.0
    learn_scale: bool = False
    max_scale: float = 100.0
    mask_duplicates: bool = True
    mask_threads: bool = False
    log_q: bool = False
    margin: float = 0.0
    matryoshka_dims: list[int] = dataclasses.field(default_factory=list)
    hard_negatives: int = 0
    extra_contexts: int = 0
    gather_negatives: bool = True
    guide: bool = False


@dataclasses.dataclass
class PairData(base_config.Config):
    """Pairs to train or validate on.

    Attributes:
        input_path: A corpus folder, or the parent folder of the corpora in `data_config`.
        data_config: `data_config.json`: names and weights of the corpora in `input_path`.
            A path, or the name of a shipped one (`data_config_reddit`).
        split: `train` or `test`.
        global_batch_size: Pairs of one step over all replicas.
        weighting: `weights` (those of data_config), `proportional` or `temperature`.
        temperature: Temperature of the `temperature` weighting.
        datasets_per_batch: Parts of a batch that are drawn independently.
        shuffle_window: Pairs that are shuffled together; bounds the sampler's memory.
        shuffle: Whether to shuffle at all.
        seed: Seed of the data order.
        layout: `packed` (several sentences in a row), `bucketed` (padded to the smallest
            of `bucket_lengths` that holds the batch) or `padded` (to max_length).
        row_length: Tokens of a packed row; 0 means the model's max_length. Shorter rows
            make attention cheaper; longer sentences are cut (`cut_tokens`).
        row_counts: How many numbers of packed rows a batch can choose from. It takes the
            smallest that holds it. More than 1 leaves less padding in small batches, and
            the step is compiled once for each.
        max_segments: Maximum sentences in one packed row.
        bucket_lengths: Row lengths of `bucketed`; max_length is always added.
        prefetch: Batches that are made ahead of the training step.
        allow_new_data: Whether a run may continue over a corpus that was extended since its
            checkpoint, or in which comments were forgotten. From then on its batches are those of
            the corpus as it is now.
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
    row_counts: int = 1
    allow_new_data: bool = False
    max_segments: int = 32
    bucket_lengths: list[int] = dataclasses.field(default_factory=lambda: [32, 64])
    prefetch: int = 4


@dataclasses.dataclass
class EvaluationOptions(base_config.Config):
    """Scores of `rejoinder evaluate` that each validation computes too.

    They are metrics like the others: in TensorBoard, for the best checkpoint and for early
    stopping. The encoder is the moving average of the weights where the run keeps one.

    Attributes:
        sts: Files of scored sentence pairs, as for `rejoinder evaluate --sts`. The metric of
            `stsb-en-dev.csv` is `sts_stsb-en-dev`: Spearman's correlation.
        corpus: Corpus folder whose test split gives the metric `one_of_100`; empty leaves it
            out.
        batches: Maximum number of batches of 100 pairs.
    """

    sts: list[str] = dataclasses.field(default_factory=list)
    corpus: str = ""
    batches: int = 10


@dataclasses.dataclass
class TaskConfig(cfg.TaskConfig):
    """Model, loss and data.

    Attributes:
        model: The encoder.
        loss: The loss.
        train_data: Pairs to train on.
        validation_data: Pairs to evaluate on; an empty `input_path` means that of `train_data`.
        evaluation: Further scores of each validation.
        grad_cache_chunks: Chunks in which a replica encodes its batch. With more than 1,
            only one chunk's activations are in memory at a time; the gradient is the same.
        seed: Seed of random weights and of dropout.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossOptions = dataclasses.field(default_factory=LossOptions)
    train_data: PairData = dataclasses.field(default_factory=PairData)
    validation_data: PairData = dataclasses.field(
        default_factory=lambda: PairData(split="test", global_batch_size=100, shuffle=False)
    )
    evaluation: EvaluationOptions = dataclasses.field(default_factory=EvaluationOptions)
    grad_cache_chunks: int = 1
    seed: int = 0


@dataclasses.dataclass
class TrainerConfig(cfg.TrainerConfig):
    """Model Garden's trainer keys and ours.

    Attributes:
        early_stopping_patience: Number of evaluations without a better
            `best_checkpoint_eval_metric` after which training ends; 0 means never.
        async_checkpoints: Whether checkpoints are written in parallel with training steps.
        deterministic: Whether every operation gives the same bits in every run (slower).
        max_to_keep: Number of the latest checkpoints that are kept; null keeps all.
        continuous_eval_timeout: Seconds that `continuous_eval` waits for a checkpoint;
            null waits without an end.
    """

    early_stopping_patience: int = 0
    async_checkpoints: bool = False
    deterministic: bool = False
    max_to_keep: int | None = 5
    continuous_eval_timeout: int | None = 3600


@dataclasses.dataclass
class ExperimentConfig(cfg.ExperimentConfig):
    """The whole configuration."""

    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    runtime: cfg.RuntimeConfig = dataclasses.field(
        default_factory=lambda: cfg.RuntimeConfig(distribution_strategy="auto")
    )


def default_config() -> ExperimentConfig:
    """Returns the defaults: the published recipe without data, initial weights and steps."""
    return ExperimentConfig(
        trainer=TrainerConfig(
            train_steps=10_000,
            steps_per_loop=100,
            summary_interval=100,
            checkpoint_interval=1_000,
            validation_interval=1_000,
            validation_steps=-1,
            # Collectives inside tf.while hang or serialize on several CPU or GPU
            # devices, so the loop over steps is a Python loop.
            train_tf_while_loop=False,
            # Without recovery a loss that is not finite ends the run (`experiment.py`).
            recovery_max_trials=-1,
            # `experiment.py` handles SIGTERM itself and finishes the current step.
            preemption_on_demand_checkpoint=False,
            best_checkpoint_export_subdir="best",
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
                    # `schedule.py` sets decay_steps and offset from train_steps and
                    # warmup_steps, so that warm-up ends exactly at the peak.
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
