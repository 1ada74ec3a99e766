"""Writes a model as a sentence-transformers folder.

`SentenceTransformer(folder)`, Text Embeddings Inference and `rejoinder.load_model`
read it. The module types in `modules.json` are the classic ones, which every version
since 2.0 supports.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from rejoinder.models.card_data import CardDetails
from rejoinder.models.folder_settings import (
    MAX_LENGTH_FILE,
    MODULES_FILE,
    SETTINGS_FILE,
    FolderSettings,
    read_json,
    read_max_length,
)
from rejoinder.models.model_card import model_card
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer.spec import FOLDER_FILES
from rejoinder.models.weights import save_huggingface_weights

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
    settings: FolderSettings | None = None,
    card: CardDetails | None = None,
) -> None:
    """Writes weights, tokenizer, pooling, normalization and model card.

    Args:
        folder: The local folder to write; created if missing.
        encoder: The model.
        tokenizer_folder: Folder of the tokenizer it was trained with.
        max_length: Tokens after which a text is cut; by default the limit in
            `tokenizer_folder`.
        settings: Prompts, dimensions and similarity; by default those of a trained model.
        card: What the model card says beyond the model's sizes; by default the name of
            the folder only.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings or FolderSettings(folder)
    longest = encoder.config.max_length
    max_length = min(max_length or read_max_length(tokenizer_folder) or longest, longest)
    save_huggingface_weights(encoder, folder)
    copy_tokenizer(tokenizer_folder, folder, max_length)
    modules = _MODULES if encoder.normalize else _MODULES[:2]
    write_json(
        folder / MODULES_FILE,
        [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(modules)
        ],
    )
    write_json(folder / SETTINGS_FILE, _settings(settings))
    for path, _ in modules[1:]:
        (folder / path).mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": encoder.config.hidden_size,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    write_json(folder / "1_Pooling" / "config.json", pooling)
    if encoder.normalize:
        write_json(folder / "2_Normalize" / "config.json", {})
    card = card or CardDetails(name=folder.name)
    if card.snippet_path is None:
        card = dataclasses.replace(card, snippet_path=str(folder))
    dimension = settings.truncate_dim or encoder.config.hidden_size
    text = model_card(
        card,
        dimension,
        max_length,
        normalize=encoder.normalize,
        truncated=settings.truncate_dim is not None,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _settings(settings: FolderSettings) -> dict[str, Any]:
    """Returns the content of `config_sentence_transformers.json`."""
    values: dict[str, Any] = {"similarity_fn_name": settings.similarity}
    if any(settings.prompts.values()) or settings.default_prompt_name is not None:
        values["prompts"] = settings.prompts
        values["default_prompt_name"] = settings.default_prompt_name
    if settings.truncate_dim is not None:
        values["truncate_dim"] = settings.truncate_dim
    return values


def copy_tokenizer(source: str | Path, folder: str | Path, max_length: int) -> None:
    """Copies the tokenizer's files and writes the maximum length beside them.

    `split_special_tokens` makes `transformers` read a special token in a text as plain
    text, as this project does.
    """
    source, folder = Path(source), Path(folder)
    for name in FOLDER_FILES:
        # A model may be saved into the folder from which it was loaded.
        if (source / name).exists() and source.resolve() != folder.resolve():
            shutil.copyfile(source / name, folder / name)
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.exists() else {}
    config |= {"split_special_tokens": True, "model_max_length": max_length}
    write_json(path, config)
    # The tokenizer lower-cases; sentence-transformers must not do it as well.
    write_json(folder / MAX_LENGTH_FILE, {"max_seq_length": max_length, "do_lower_case": False})


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
