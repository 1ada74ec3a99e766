"""Checks of `--model-dir` before anything is written there."""

from rejoinder import output, storage
from rejoinder.corpus.naming import MANIFEST
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import require_supported

_FLAG = "--model-dir"
# Files at the root of folders that are something else.
_OTHER_FOLDERS = {
    MANIFEST: "a corpus",
    "config.json": "a Hugging Face model",
    "modules.json": "a sentence-transformers model",
    "saved_model.pb": "a SavedModel",
}


def check_model_dir(model_dir: str) -> None:
    """Checks that a run can write its checkpoints and curves into a folder.

    Raises:
        UserError: It cannot: the path is wrong or names a file, the folder holds a corpus or
            another program's model, or it cannot be written.
    """
    output.resolve(model_dir, flag=_FLAG)
    require_supported(model_dir)
    for name, content in _OTHER_FOLDERS.items():
        if storage.exists(storage.join(model_dir, name)):
            raise UserError(f"{model_dir}: holds {content} ({name}); name another {_FLAG}")
    output.check_writable(model_dir, flag=_FLAG)
