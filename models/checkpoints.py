"""TensorFlow checkpoints: which one is the latest, and reading one completely or not at all.

TensorFlow reads what fits and leaves the rest of the objects as they are. Here a
checkpoint that does not hold exactly the given model is an error.
"""

from collections.abc import Mapping

import tensorflow as tf

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.checkpoint_weights import read_weights
from rejoinder.models.sentence_encoder import SentenceEncoder

STATE_FILE = "checkpoint"  # TensorFlow writes the name of the latest checkpoint into it
MODEL = "model"  # name of the encoder in a training checkpoint
_SLOT = "/.OPTIMIZER_SLOT/"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow raises where a file is missing, cut or damaged.
READ_ERRORS = (tf.errors.OpError, RuntimeError, IndexError)


def latest_checkpoint(folder: str) -> str | None:
    """Returns the path of a folder's latest checkpoint, None if it has none.

    Raises:
        UserError: The folder is in a store that TensorFlow does not read, or its state file
            cannot be read or names a checkpoint that is not there. Training would otherwise
            start again and overwrite the other checkpoints.
    """
    require_supported(folder)
    path = storage.join(folder, STATE_FILE)
    if not storage.exists(path):
        return None
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:
        state = None
    if state is None:
        raise UserError(
            f'{path}: is not a list of checkpoints; write model_checkpoint_path: "ckpt-N" into '
            "it, with the newest N in the folder, or name another folder"
        )
    named = str(state.model_checkpoint_path)
    if not storage.exists(f"{named}.index"):
        raise UserError(
            f"{path}: names {named}, which does not exist; let it name one that does, or remove "
            "it to start again"
        )
    return named


def require_supported(folder: str) -> None:
    """Checks that TensorFlow can read and write checkpoints in a folder.

    Raises:
        UserError: The folder is in a store that TensorFlow does not know.
    """
    if folder.startswith("s3://"):
        raise UserError(
            f"{folder}: TensorFlow reads and writes checkpoints in local folders and gs:// only; "
            "copy the folder to one of these"
        )


def refuse_foreign(folder: str) -> None:
    """Checks that a folder without `encoder/` holds no checkpoint either.

    Raises:
        UserError: It holds a checkpoint, which is then another program's.
    """
    if storage.is_local(folder) and storage.exists(storage.join(folder, STATE_FILE)):
        raise UserError(
            f"{latest_checkpoint(folder)}: is the checkpoint of another program (there is no "
            "encoder/config.json beside it); give a folder that `rejoinder train` wrote"
        )


def read_encoder(encoder: SentenceEncoder, path: str) -> None:
    """Reads the encoder of a training checkpoint.

    Args:
        encoder: An encoder of the same sizes; each of its weights is set.
        path: The checkpoint without its file endings, such as `M/ckpt-100`.

    Raises:
        UserError: The checkpoint cannot be read, or the variables of its model are not
            exactly those of the encoder.
    """
    check_model(path, encoder)
    try:
        read_weights(encoder, path)
    except (AssertionError, ValueError) as error:
        raise not_this_model(path, first_line(error)) from None
    except READ_ERRORS as error:
        raise unreadable(path, error) from None


def check_model(path: str, encoder: SentenceEncoder) -> None:
    """Compares number and shapes of a checkpoint's model variables with those of an encoder.

    Raises:
        UserError: The checkpoint cannot be read, or they differ.
    """
    found = {
        name.removesuffix(_VALUE): shape
        for name, shape in _stored_shapes(path).items()
        if name.startswith(f"{MODEL}/") and _SLOT not in name
    }
    wanted = [list(variable.shape) for variable in encoder.variables]
    if len(found) != len(wanted):
        raise not_this_model(
            path, f"it holds {len(found)} variables of a model, {len(wanted)} are needed"
        )
    for name, shape in found.items():
        if shape not in wanted:
            raise not_this_model(path, f"no variable has the shape {shape} of {name}")
        wanted.remove(shape)


def unreadable(path: str, error: Exception) -> UserError:
    """Returns the error for a checkpoint that TensorFlow cannot read."""
    return UserError(
        f"{path}: cannot be read ({first_line(error)}); if the file is damaged, let the file "
        f"{STATE_FILE} beside it name an older one"
    )


def not_this_model(path: str, reason: str) -> UserError:
    """Returns the error for a checkpoint with other variables."""
    return UserError(
        f"{path}: does not hold the model that encoder/config.json describes ({reason}); give the "
        "folder of another run, or a checkpoint of this one"
    )


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _stored_shapes(path: str) -> Mapping[str, list[int]]:
    """Returns the shape of each variable in a checkpoint by name."""
    try:
        return {name: list(shape) for name, shape in tf.train.list_variables(path)}
    except (*READ_ERRORS, ValueError) as error:
        raise unreadable(path, error) from None
