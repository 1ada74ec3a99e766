"""How a model folder says that its texts are embedded: modules, length, prompts, dimensions.

Each setting of a sentence-transformers folder that changes embeddings is either honoured
or an error that names the file. Ignoring one would give other embeddings without an error.
A folder without `modules.json` is read as sentence-transformers reads it: mean pooling
without normalization.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError

MODULES_FILE = "modules.json"
SETTINGS_FILE = "config_sentence_transformers.json"
MAX_LENGTH_FILE = "sentence_bert_config.json"
# Names that sentence-transformers gave the same file before version 2.
_OLD_MAX_LENGTH_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
# Prompts that sentence-transformers knows in every model.
_NO_PROMPTS = {"query": "", "document": ""}


@dataclasses.dataclass(frozen=True)
class FolderSettings:
    """What a model folder says beside its weights.

    Attributes:
        transformer: Folder of the configuration, the tokenizer and the weights.
        normalize: Whether embeddings are scaled to unit length.
        max_length: Tokens after which a text is cut; None for the model's limit.
        truncate_dim: Number of components that are kept; None for all.
        prompts: Texts put before a text, by name.
        default_prompt_name: The prompt of a text for which none is named; None for no prompt.
        similarity: Name of the similarity of two embeddings, one of `SIMILARITIES`.
    """

    transformer: Path
    normalize: bool = True
    max_length: int | None = None
    truncate_dim: int | None = None
    prompts: dict[str, str] = dataclasses.field(default_factory=lambda: dict(_NO_PROMPTS))
    default_prompt_name: str | None = None
    similarity: str = "cosine"


def read_folder_settings(folder: str | Path) -> FolderSettings:
    """Reads the settings of a sentence-transformers or Hugging Face folder.

    Raises:
        UserError: A file is broken, or a setting is not supported.
    """
    folder = Path(folder)
    transformer, normalize = _read_modules(folder)
    settings = _read_object(folder / SETTINGS_FILE)
    path = folder / SETTINGS_FILE
    kind = settings.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UserError(f"{path}: model_type is {kind!r}, must be 'SentenceTransformer'")
    similarity = settings.get("similarity_fn_name") or "cosine"
    if similarity not in SIMILARITIES:
        raise UserError(
            f"{path}: similarity_fn_name is {similarity!r}, must be one of "
            f"{', '.join(SIMILARITIES)}"
        )
    truncate_dim = settings.get("truncate_dim")
    if truncate_dim is not None and (type(truncate_dim) is not int or truncate_dim < 1):
        raise UserError(f"{path}: truncate_dim is {truncate_dim!r}, must be at least 1")
    prompts, default = _read_prompts(path, settings)
    return FolderSettings(
        transformer=transformer,
        normalize=normalize,
        max_length=read_max_length(transformer),
        truncate_dim=truncate_dim,
        prompts=prompts,
        default_prompt_name=default,
        similarity=similarity,
    )


def _read_prompts(path: Path, settings: dict[str, Any]) -> tuple[dict[str, str], str | None]:
    """Returns the prompts by name, and the name of the default."""
    given = settings.get("prompts") or {}
    if not isinstance(given, dict) or not all(
        isinstance(text, str | None) for text in given.values()
    ):
        raise UserError(f"{path}: prompts must be texts by name, got {given!r}")
    prompts = _NO_PROMPTS | {name: text or "" for name, text in given.items()}
    default = settings.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise UserError(
            f"{path}: default_prompt_name is {default!r}, which is not among the prompts "
            f"({', '.join(prompts)})"
        )
    return prompts, default


def read_max_length(transformer: str | Path) -> int | None:
    """Returns the number of tokens after which a folder's texts are cut; None if it has none.

    `max_seq_length` of sentence-transformers comes first, then `model_max_length` of the
    tokenizer, as in sentence-transformers.

    Args:
        transformer: Folder of the tokenizer.

    Raises:
        UserError: A file is broken, a length is too small, or the text is lower-cased
            before the tokenizer.
    """
    for name in (MAX_LENGTH_FILE, *_OLD_MAX_LENGTH_FILES):
        path = Path(transformer) / name
        settings = _read_object(path)
        task = settings.get("transformer_task", "feature-extraction")
        if task != "feature-extraction":
            raise UserError(f"{path}: transformer_task is {task!r}, must be 'feature-extraction'")
        if settings.get("do_lower_case") and not _lowercases(Path(transformer)):
            raise UserError(
                f"{path}: do_lower_case is true but the tokenizer keeps capitals; set lowercase in"
                " the normalizer of tokenizer.json instead"
            )
        if settings:
            if settings.get("max_seq_length") is not None:
                return _length(path, "max_seq_length", settings["max_seq_length"])
            break
    path = Path(transformer) / "tokenizer_config.json"
    value = _read_object(path).get("model_max_length")
    # transformers writes 1e30 for a tokenizer without a limit.
    return None if value is None else _length(path, "model_max_length", value)


def _length(path: Path, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 3:
        raise UserError(f"{path}: {key} is {value!r}, must be at least 3")
    return int(value)


def _lowercases(transformer: Path) -> bool:
    normalizer = _read_object(transformer / "tokenizer.json").get("normalizer") or {}
    return bool(normalizer.get("lowercase"))


def _read_modules(folder: Path) -> tuple[Path, bool]:
    """Returns the transformer's folder and whether embeddings are normalized.

    Supported are a transformer, mean pooling and normalization, in this order.
    """
    path = folder / MODULES_FILE
    if not path.exists():
        return folder, False
    kinds, names = _list_modules(str(path), read_json(path))
    folders = [folder / name for name in names]
    for kind in kinds:
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise UserError(f"{path}: module {kind} is not supported, only mean pooling is")
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise UserError(
            f"{path}: modules are {', '.join(kinds)}; must be Transformer, Pooling and optionally"
            " Normalize"
        )
    _check_pooling(folders[1] / "config.json")
    for settings in folders[2:]:
        name = _read_object(settings / "config.json").get("module_input_name")
        if name not in (None, "sentence_embedding"):
            raise UserError(
                f"{settings}: module_input_name is {name!r}, must be 'sentence_embedding'"
            )
    return folders[0], len(kinds) == 3


def transformer_folder(folder: str | Path) -> Path:
    """Returns the folder of a model's configuration, tokenizer and weights.

    Old sentence-transformers folders have them in `0_Transformer`. Pooling and the other
    modules may be any.

    Raises:
        UserError: `modules.json` is broken, or does not begin with a transformer.
    """
    path = Path(folder) / MODULES_FILE
    if not path.exists():
        return Path(folder)
    return Path(folder) / transformer_path(str(path), read_json(path))


def transformer_path(source: str, modules: Any) -> str:
    """Returns the path of the transformer's folder inside the model's folder.

    Args:
        source: Path of `modules.json`, for messages.
        modules: Its content.

    Raises:
        UserError: It is not a list of modules that begins with a transformer.
    """
    kinds, names = _list_modules(source, modules)
    if kinds[:1] != ["Transformer"]:
        raise UserError(f"{source}: must begin with a Transformer, got {', '.join(kinds)}")
    return names[0]


def _list_modules(source: str, modules: Any) -> tuple[list[str], list[str]]:
    """Returns the types and paths of the modules in `modules.json`."""
    try:
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        names = [_inside(source, module["path"]) for module in modules]
    except (TypeError, KeyError, AttributeError):
        raise UserError(f"{source}: must list modules with type and path") from None
    return kinds, names


def _inside(source: str, name: str) -> str:
    """Returns the path of a module, which has to lie in the model's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{source}: path {name!r} leaves the folder of the model")
    return name


def _check_pooling(path: Path) -> None:
    """Checks that a pooling module takes the mean of all tokens."""
    config = _object(path, read_json(path))
    modes = _pooling_modes(config)
    if modes != ["mean"]:
        raise UserError(f"{path}: pools by {' and '.join(modes)}, must be mean")
    if not config.get("include_prompt", True):
        raise UserError(f"{path}: include_prompt is false, must be true: prompts are pooled too")


def _pooling_modes(config: dict[str, Any]) -> list[str]:
    """Returns the pooling modes, from the classic switches or the newer single key."""
    if "pooling_mode" in config:
        mode = config["pooling_mode"]
        return [mode] if isinstance(mode, str) else list(mode)
    prefix = "pooling_mode_"
    switches = (name for name, on in config.items() if name.startswith(prefix) and on)
    modes = (name.removeprefix(prefix).removesuffix("s") for name in switches)
    # Without any switch sentence-transformers takes the mean.
    return [mode.removesuffix("_token") for mode in modes] or ["mean"]


def _read_object(path: Path) -> dict[str, Any]:
    """Returns a JSON object, empty if the file is missing."""
    return _object(path, read_json(path)) if path.exists() else {}


def _object(path: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a JSON object, got {type(values).__name__}")
    return values


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
