"""Reads a tokenizer's vocabulary and settings from a Hugging Face folder.

Only the form of MPNet and BERT tokenizers is accepted: `BertNormalizer`,
`BertPreTokenizer`, `WordPiece`, one special token before and one after a text.
Anything else is an error that names the file, because an almost equal tokenizer
would give wrong embeddings without an error.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError

# The files from which `transformers` loads a tokenizer. The first one is required, the
# others are copied where they exist.
FOLDER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
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
    path = Path(folder) / "tokenizer.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: does not exist; a tokenizer folder holds the tokenizer.json of a Hugging Face"
            " fast tokenizer (train one with `rejoinder vocab`)"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    _expect(path, "normalizer", data, "BertNormalizer")
    if not data["normalizer"].get("clean_text", True):
        raise UserError(f"{path}: normalizer.clean_text is false, must be true")
    _expect(path, "pre_tokenizer", data, "BertPreTokenizer")
    _expect(path, "model", data, "WordPiece")
    model = data["model"]
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
        suffix_indicator=model.get("continuing_subword_prefix", "##"),
        max_word_chars=model.get("max_input_chars_per_word", 100),
        bos_id=_token_id(path, vocab, bos),
        eos_id=_token_id(path, vocab, eos),
        pad_id=_token_id(path, vocab, _pad_token(path, data)),
        unk_id=vocab[model["unk_token"]],
    )


def _expect(path: Path, part: str, data: dict[str, Any], kind: str) -> None:
    found = (data.get(part) or {}).get("type")
    # Files written before tokenizers 0.10 leave out the model's type.
    if found != kind and not (part == "model" and found is None and "vocab" in data.get(part, {})):
        raise UserError(
            f"{path}: {part} is {found!r}, must be {kind!r} (a BERT or MPNet tokenizer)"
        )


def _special_tokens(path: Path, processor: dict[str, Any]) -> tuple[str, str]:
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


def _pad_token(path: Path, data: dict[str, Any]) -> str:
    """Returns the padding token of `tokenizer_config.json`, or else `<pad>` or `[PAD]`."""
    config_path = path.parent / "tokenizer_config.json"
    if config_path.exists():
        pad = json.loads(config_path.read_text(encoding="utf-8")).get("pad_token")
        if isinstance(pad, dict):
            pad = pad.get("content")
        if pad:
            return pad
    if data.get("padding"):
        return data["padding"]["pad_token"]
    return "<pad>" if "<pad>" in data["model"]["vocab"] else "[PAD]"


def _token_id(path: Path, vocab: dict[str, int], token: str) -> int:
    if token not in vocab:
        raise UserError(f"{path}: the special token {token!r} is not in the vocabulary")
    return vocab[token]
