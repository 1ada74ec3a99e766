"""Training with evaluations at the same steps, however often the run is resumed."""

import orbit

from rejoinder.trainer.config import TrainerConfig
from rejoinder.trainer.distribution.hosts import Hosts


def train_and_evaluate(
    controller: orbit.Controller, config: TrainerConfig, hosts: Hosts, *, evaluated: int | None
) -> None:
    """Trains to the last step and evaluates at each multiple of `validation_interval`.

    Orbit counts the interval from the step at which a process starts, so that a run that is
    resumed at step 1,234 would be evaluated at 2,234. An evaluation that was cut off after
    the checkpoint of its step is done first, also that of the last step.

    Args:
        controller: Orbit's controller.
        config: Steps and interval; the last step is evaluated, too.
        hosts: All hosts; the chief decides whether an evaluation is missing.
        evaluated: A step whose evaluation is complete, None if none is known.
    """
    interval = config.validation_interval
    step = int(controller.global_step.numpy())
    is_due = step > 0 and (step % interval == 0 or step == config.train_steps)
    is_missing = is_due and step != evaluated
    if hosts.gather(int(is_missing))[0]:
        controller.evaluate(steps=config.validation_steps)
    while step < config.train_steps:
        goal = min(step - step % interval + interval, config.train_steps)
        controller.train(steps=goal, checkpoint_at_completion=False)
        controller.evaluate(steps=config.validation_steps)
        step = int(controller.global_step.numpy())
    controller.save_checkpoint()
    controller.checkpoint_manager.sync()
