"""`best/` in MODEL_DIR: the weights of the best evaluation, as a model folder.

`Encoder.load`, `rejoinder evaluate`, `rejoinder export` and `--init-from` read it as they
read MODEL_DIR. A run that keeps an average of its weights evaluates the average, so that
is what is saved. Optimizer and moments are not in it: no training continues from there.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from rejoinder import storage
from rejoinder.models.checkpoints import STATE_FILE, latest_checkpoint
from rejoinder.trainer.best_folder import read_best
from rejoinder.trainer.model_folder import write_model_folder
from rejoinder.trainer.run import Run


class BestModel:
    """Saves the weights when an evaluation is better than all before it.

    Its methods have the names that Model Garden's trainer calls. With several hosts, the
    chief alone has one.

    Attributes:
        folder: The folder.
        metric: Name of the metric that decides.
        step: Step of the saved weights; None before the first.

    Args:
        run: The run.
        model: The encoder that is evaluated.
    """

    def __init__(self, run: Run, model: tf.Module):
        trainer = run.config.trainer
        self.folder = storage.join(run.model_dir, trainer.best_checkpoint_export_subdir)
        self._run = run
        self.metric = trainer.best_checkpoint_eval_metric
        self._sign = 1.0 if trainer.best_checkpoint_metric_comp == "higher" else -1.0
        self._step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(model=model, global_step=self._step)
        # Without a checkpoint the run starts anew, and what is there is of another run.
        is_resumed = latest_checkpoint(run.model_dir) is not None
        stored = read_best(self.folder) if is_resumed else None
        self.step: int | None = stored["step"] if stored else None
        self._metrics: dict[str, float] = stored["metrics"] if stored else {}

    @property
    def value(self) -> float | None:
        """The metric of the saved weights; None before the first or with another metric."""
        return self._metrics.get(self.metric)

    @property
    def best_ckpt_logs(self) -> dict[str, float]:
        """The metrics of the saved weights; NaN before the first."""
        return {self.metric: math.nan, **self._metrics}

    def maybe_export_checkpoint(
        self, checkpoint: tf.train.Checkpoint, eval_logs: Mapping[str, Any], global_step: int
    ) -> bool:
        """Saves the weights of an evaluation that is better than all before it.

        Args:
            checkpoint: The run's own checkpoint, which is not saved here.
            eval_logs: The metrics of the evaluation.
            global_step: Its step.

        Returns:
            Whether it was better.

        Raises:
            UserError: `best/` cannot be written.
        """
        del checkpoint
        metrics = {name: float(value) for name, value in eval_logs.items()}
        new, old = metrics[self.metric], self.value
        if not math.isfinite(new) or (old is not None and self._sign * new <= self._sign * old):
            return False
        self._write(int(global_step), metrics)
        self.step, self._metrics = int(global_step), metrics
        return True

    def _write(self, step: int, metrics: dict[str, float]) -> None:
        """Writes new files beside the old ones; the file `checkpoint`, renamed, switches."""
        if self.step is None:
            storage.delete([storage.join(self.folder, STATE_FILE)])
            write_model_folder(dataclasses.replace(self._run, model_dir=self.folder))
        name = f"ckpt-{step}"
        text = json.dumps({"step": step, "metrics": metrics}, indent=2, sort_keys=True) + "\n"
        storage.replace_bytes(storage.join(self.folder, f"{name}.json"), text.encode())
        self._step.assign(step)
        path = self._checkpoint.write(storage.join(self.folder, name))
        state = f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
        storage.replace_bytes(storage.join(self.folder, STATE_FILE), state.encode())
        storage.delete(
            [
                file.path
                for file in storage.list_tree(self.folder)
                if file.path.startswith(storage.join(self.folder, "ckpt-"))
                and not file.path.startswith(f"{path}.")
            ]
        )
