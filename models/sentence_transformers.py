"""Writes a model as a sentence-transformers folder.

`SentenceTransformer(folder)`, Text Embeddings Inference and `rejoinder.load_model`
read it. The module types in `modules.json` are the classic ones, which every version
since 2.0 supports.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError
from rejoinder.models.model_card import model_card
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer.spec import FOLDER_FILES
from rejoinder.models.weights import save_huggingface_weights

MAX_LENGTH_FILE = "sentence_bert_config.json"
_MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    ("1_Pooling", "sentence_transformers.models.Pooling"),
    ("2_Normalize", "sentence_transformers.models.Normalize"),
)


def save_sentence_transformers(
    folder: str | Path,
    encoder: SentenceEncoder,
    tokenizer_folder: str | Path,
    *,
    max_length: int | None = None,
    name: str | None = None,
    model_dir: str | None = None,
) -> None:
    """Writes weights, tokenizer, pooling, normalization and model card.

    Args:
        folder: The local folder to write; created if missing.
        encoder: The model.
        tokenizer_folder: Folder of the tokenizer it was trained with.
        max_length: Tokens after which a text is cut; by default the limit in
            `tokenizer_folder`.
        name: Name in the model card; by default the name of the folder.
        model_dir: Folder of the training run that made the model, for the model card.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if max_length is None:
        max_length = read_max_length(tokenizer_folder, encoder.config.max_length)
    save_huggingface_weights(encoder, folder)
    copy_tokenizer(tokenizer_folder, folder, max_length)
    write_json(
        folder / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(_MODULES)
        ],
    )
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    for path, _ in _MODULES[1:]:
        (folder / path).mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": encoder.config.hidden_size,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Normalize" / "config.json", {})
    card = model_card(name or folder.name, encoder.config.hidden_size, max_length, model_dir)
    (folder / "README.md").write_text(card, encoding="utf-8")


def copy_tokenizer(source: str | Path, folder: str | Path, max_length: int) -> None:
    """Copies the tokenizer's files and writes the maximum length beside them."""
    for name in FOLDER_FILES:
        if (Path(source) / name).exists():
            shutil.copyfile(Path(source) / name, Path(folder) / name)
    # The tokenizer lower-cases; sentence-transformers must not do it as well.
    write_json(
        Path(folder) / MAX_LENGTH_FILE, {"max_seq_length": max_length, "do_lower_case": False}
    )


def read_max_length(folder: str | Path, default: int) -> int:
    """Returns the `max_seq_length` of a folder, or `default` where it has none."""
    path = Path(folder) / MAX_LENGTH_FILE
    if not path.exists():
        return default
    value = read_json(path).get("max_seq_length")
    return min(int(value), default) if value else default


def check_modules(folder: str | Path) -> None:
    """Checks that a sentence-transformers folder has no module that is not supported.

    Supported are a transformer, mean pooling and normalization. Ignoring another
    pooling or a dense layer would give other embeddings without an error.

    Raises:
        UserError: The folder has another module or another pooling.
    """
    path = Path(folder) / "modules.json"
    if not path.exists():
        return
    for module in read_json(path):
        kind = module["type"].rsplit(".", 1)[-1]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise UserError(f"{path}: module {kind} is not supported, only mean pooling is")
        if kind == "Pooling":
            config = Path(folder) / module["path"] / "config.json"
            modes = _pooling_modes(read_json(config))
            if modes != ["mean"]:
                raise UserError(f"{config}: pools by {' and '.join(modes)}, must be mean")


def _pooling_modes(config: dict[str, Any]) -> list[str]:
    """Returns the pooling modes, from the classic switches or the newer single key."""
    if "pooling_mode" in config:
        mode = config["pooling_mode"]
        return [mode] if isinstance(mode, str) else list(mode)
    prefix, suffix = "pooling_mode_", "_tokens"
    switches = (name for name, on in config.items() if name.startswith(prefix) and on)
    return [name.removeprefix(prefix).removesuffix(suffix) for name in switches]


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
