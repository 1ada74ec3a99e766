"""Reads a tokenizer's vocabulary and settings from a Hugging Face folder.

Only the form of MPNet and BERT tokenizers is accepted: `BertNormalizer`,
`BertPreTokenizer`, `WordPiece`, one special token before and one after a text.
Anything else is an error that names the file, because an almost equal tokenizer
would give wrong embeddings without an error.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError

# The files from which `transformers` loads a tokenizer. The first one is required, the
# others are copied where they exist.
TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"
FOLDER_FILES = (
    TOKENIZER_FILE,
    CONFIG_FILE,
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
)


@dataclasses.dataclass(frozen=True)
class TokenizerSpec:
    """Vocabulary and settings of a WordPiece tokenizer, read from `tokenizer.json`.

    Attributes:
        tokens: The vocabulary; a token's index is its id.
        normalizer: The `BertNormalizer` settings as in the file.
        suffix_indicator: Prefix of pieces inside a word, `##`.
        max_word_chars: A word of more code points than this is one `[UNK]`.
        bos_id: Id put before every text (`<s>`).
        eos_id: Id put after every text (`</s>`).
        pad_id: Id that fills rows (`<pad>`).
        unk_id: Id of a word that the vocabulary cannot spell.
    """

    tokens: tuple[str, ...]
    normalizer: dict[str, Any]
    suffix_indicator: str
    max_word_chars: int
    bos_id: int
    eos_id: int
    pad_id: int
    unk_id: int

    @property
    def unk_token(self) -> str:
        """The token of `unk_id`."""
        return self.tokens[self.unk_id]


def read_spec(folder: str | Path) -> TokenizerSpec:
    """Reads `tokenizer.json` (and the pad token's name) of a tokenizer folder.

    Raises:
        UserError: The file is missing, not JSON, or describes another kind of
            tokenizer.
    """
    files: dict[str, bytes] = {}
    for name in (TOKENIZER_FILE, CONFIG_FILE):
        path = Path(folder) / name
        try:
            files[name] = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_spec(files, str(folder))


def parse_spec(files: Mapping[str, bytes], folder: str) -> TokenizerSpec:
    """Reads the files of a tokenizer folder, see `read_spec`.

    Args:
        files: Content by name.
        folder: The folder, for messages.
    """
    path = f"{folder.rstrip('/')}/{TOKENIZER_FILE}"
    if TOKENIZER_FILE not in files:
        raise UserError(
            f"{path}: does not exist; a tokenizer folder holds the tokenizer.json of a Hugging Face"
            " fast tokenizer (train one with `rejoinder vocab`)"
        )
    data = _parse_object(path, files[TOKENIZER_FILE])
    config_path = f"{folder.rstrip('/')}/{CONFIG_FILE}"
    config = _parse_object(config_path, files[CONFIG_FILE]) if CONFIG_FILE in files else {}
    try:
        return _spec(path, data, config)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: is not the tokenizer.json of a BERT or MPNet tokenizer ({reason}); save the "
            "tokenizer again with transformers' `save_pretrained`"
        ) from None


def _parse_object(path: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); copy the file again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds a JSON {type(value).__name__}, must hold an object")
    return value


def _spec(path: str, data: dict[str, Any], config: dict[str, Any]) -> TokenizerSpec:
    _expect(path, "normalizer", data, "BertNormalizer")
    if not data["normalizer"].get("clean_text", True):
        raise UserError(f"{path}: normalizer.clean_text is false, must be true")
    for name in ("lowercase", "strip_accents", "handle_chinese_chars"):
        _expect_type(path, f"normalizer.{name}", data["normalizer"].get(name), bool)
    _expect(path, "pre_tokenizer", data, "BertPreTokenizer")
    _expect(path, "model", data, "WordPiece")
    model = data["model"]
    _expect_type(path, "model.unk_token", model["unk_token"], str)
    for name, kind in (("continuing_subword_prefix", str), ("max_input_chars_per_word", int)):
        _expect_type(path, f"model.{name}", model.get(name), kind)
    vocab: dict[str, int] = dict(model["vocab"])
    for added in data.get("added_tokens", []):
        vocab.setdefault(added["content"], added["id"])
    tokens = tuple(sorted(vocab, key=lambda token: vocab[token]))
    if [vocab[token] for token in tokens] != list(range(len(tokens))):
        raise UserError(f"{path}: token ids are not 0…{len(tokens) - 1} without gaps or repeats")
    if model["unk_token"] not in vocab:
        raise UserError(
            f"{path}: the unknown token {model['unk_token']!r} is not in the vocabulary"
        )
    bos, eos = _special_tokens(path, data.get("post_processor") or {})
    return TokenizerSpec(
        tokens=tokens,
        normalizer=data["normalizer"],
        suffix_indicator=model.get("continuing_subword_prefix") or "##",
        max_word_chars=model.get("max_input_chars_per_word") or 100,
        bos_id=_token_id(path, vocab, bos),
        eos_id=_token_id(path, vocab, eos),
        pad_id=_token_id(path, vocab, _pad_token(data, config)),
        unk_id=vocab[model["unk_token"]],
    )


def _expect(path: str, part: str, data: dict[str, Any], kind: str) -> None:
    found = (data.get(part) or {}).get("type")
    # Files written before tokenizers 0.10 leave out the model's type.
    if found != kind and not (part == "model" and found is None and "vocab" in data.get(part, {})):
        raise UserError(
            f"{path}: {part} is {found!r}, must be {kind!r} (a BERT or MPNet tokenizer)"
        )


def _expect_type(path: str, part: str, value: object, kind: type) -> None:
    if value is not None and type(value) is not kind:
        raise UserError(f"{path}: {part} is {value!r}, must be of type {kind.__name__}")


def _special_tokens(path: str, processor: dict[str, Any]) -> tuple[str, str]:
    """Returns the tokens that the post-processor puts around a single text."""
    kind = processor.get("type")
    if kind in ("RobertaProcessing", "BertProcessing"):
        return processor["cls"][0], processor["sep"][0]
    if kind == "TemplateProcessing":
        single = processor["single"]
        if len(single) == 3 and "Sequence" in single[1]:
            return single[0]["SpecialToken"]["id"], single[2]["SpecialToken"]["id"]
    raise UserError(
        f"{path}: post_processor {kind!r} does not put one token before and one after a text"
    )


def _pad_token(data: dict[str, Any], config: dict[str, Any]) -> str:
    """Returns the padding token of `tokenizer_config.json`, or else `<pad>` or `[PAD]`."""
    pad = config.get("pad_token")
    if isinstance(pad, dict):
        pad = pad.get("content")
    if pad:
        return str(pad)
    if data.get("padding"):
        return str(data["padding"]["pad_token"])
    return "<pad>" if "<pad>" in data["model"]["vocab"] else "[PAD]"


def _token_id(path: str, vocab: dict[str, int], token: str) -> int:
    if token not in vocab:
        raise UserError(f"{path}: the special token {token!r} is not in the vocabulary")
    return vocab[token]
