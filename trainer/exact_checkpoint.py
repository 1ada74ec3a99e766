"""The training checkpoint, of which every restore is complete or an error."""

from typing import Any

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.checkpoints import READ_ERRORS, check_model, first_line, unreadable
from rejoinder.trainer.averaging import WeightAverage


class ExactCheckpoint(tf.train.Checkpoint):
    """Step, model, optimizer and scale of a run.

    TensorFlow restores what fits and leaves the rest as it is: a checkpoint of another
    model or optimizer would continue from random weights or without Adam's moments.

    Args:
        trains: Whether the run trains. If not, the optimizer may be another: an evaluation
            needs of it only the average of the weights, if it keeps one.
        objects: As `tf.train.Checkpoint`.
    """

    def __init__(self, *, trains: bool, **objects: Any):
        super().__init__(**objects)
        self._trains = trains

    def restore(self, save_path: str, options: Any = None) -> Any:
        """Restores everything from a checkpoint, except what the configuration sets.

        Model Garden's optimizers store settings such as `beta_1` as variables; a resumed run
        would use those of its checkpoint, whatever its configuration says.

        Raises:
            UserError: It cannot be read, or is not one of this model and optimizer.
        """
        check_model(save_path, self.model)
        settings = _settings(self.optimizer)
        try:
            status = super().restore(save_path, options)
            if self._trains:
                status.assert_consumed()
            else:
                status.expect_partial()
                if isinstance(self.optimizer, WeightAverage):
                    status.assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"{save_path}: does not hold the state of this run's optimizer "
                f"({first_line(error)}); restore the configuration of the run that wrote it, or "
                "name another --model-dir"
            ) from None
        except READ_ERRORS as error:
            raise unreadable(save_path, error) from None
        for variable, value in settings:
            variable.assign(value)
        return status


def _settings(optimizer: Any) -> list[tuple[tf.Variable, Any]]:
    """Returns the variables that hold settings of an optimizer, and their values."""
    inner = optimizer._optimizer if isinstance(optimizer, WeightAverage) else optimizer
    return [(held, held.numpy()) for held in inner._hyper.values() if isinstance(held, tf.Variable)]
