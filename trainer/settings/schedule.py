"""Completes the learning rate schedule, so that warm-up ends exactly at the peak.

Model Garden's linear warm-up ends at the decayed rate of its last step: at 1.9981e-5
for a peak of 2e-5, 500 warm-up steps and a decay over 540,000. If the decay starts
where the warm-up ends (`offset`), that value is the peak itself.
"""

from official.core import config_definitions as cfg


def complete_schedule(trainer: cfg.TrainerConfig) -> None:
    """Sets the decay of a polynomial or cosine schedule without `decay_steps`.

    It starts at the end of the warm-up and ends at `train_steps`.
    """
    optimization = trainer.optimizer_config
    warmup = optimization.warmup.get()
    warmup_steps = (warmup.warmup_steps or 0) if warmup else 0
    decay = optimization.learning_rate.get()
    if optimization.learning_rate.type in ("polynomial", "cosine") and decay.decay_steps is None:
        decay.decay_steps = max(trainer.train_steps - warmup_steps, 1)
        decay.offset = warmup_steps
