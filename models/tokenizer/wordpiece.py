"""Trains a WordPiece vocabulary from texts.

The folder that it writes has MPNet's special tokens with MPNet's ids and the
lower-casing normalizer of all-mpnet-base-v2, so that `transformers.AutoTokenizer` and
`rejoinder.models.tokenizer.Tokenizer` both load it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rejoinder.errors import UserError

LEADING_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "[UNK]")
UNKNOWN = "[UNK]"
MASK_TOKEN = "<mask>"  # noqa: S105 - a token of text
# Longest input that `AutoTokenizer` accepts without a warning: MPNet's 514
# positions less the two that the padding offset takes.
MODEL_MAX_LENGTH = 512
# Maximum number of characters with a piece; a word with a rarer character is unknown.
MAX_ALPHABET = 1000
SMALLEST = 16


def train_wordpiece(texts: Iterable[str], vocab_size: int, folder: str | Path) -> Path:
    """Trains a vocabulary and writes a Hugging Face tokenizer folder.

    Args:
        texts: The corpus; read once, in order.
        vocab_size: Number of token ids wanted, special tokens included. A small
            corpus may give fewer.
        folder: The local folder to write; created if missing.

    Returns:
        The folder.

    Raises:
        UserError: `vocab_size` does not leave room for any piece, or there is no text.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    if vocab_size < SMALLEST:
        raise UserError(f"the vocabulary size must be at least {SMALLEST}, got {vocab_size}")
    words = count_words(texts)
    if not words:
        raise UserError("no text to train a vocabulary on: the input has no words")
    characters = Counter[str]()
    for word, count in words.items():
        characters.update(dict.fromkeys(word, count))
    by_count = sorted(characters, key=lambda char: (-characters[char], char))
    alphabet = sorted(by_count[: min(MAX_ALPHABET, vocab_size // 4)])
    known = set(alphabet)
    spellable = {word: count for word, count in sorted(words.items()) if known.issuperset(word)}
    inside = sorted({char for word in spellable for char in word[1:]})
    learner = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        # The mask token is added after the learned pieces, as in MPNet.
        vocab_size=vocab_size - 1,
        # The trainer numbers characters in the order of a randomly seeded hash map and
        # breaks ties between merges by these numbers. As special tokens they have fixed
        # numbers, so that the same texts give the same vocabulary.
        special_tokens=[*LEADING_TOKENS, *alphabet, *(f"##{char}" for char in inside)],
        show_progress=False,
    )
    learner.train_from_iterator(_repeat(spellable), trainer)
    learned = learner.get_vocab()
    tokens = sorted(learned, key=lambda token: learned[token])
    return write_tokenizer_folder([*tokens, MASK_TOKEN], folder)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Counts the words of texts, normalized and split as Hugging Face does."""
    from tokenizers import normalizers, pre_tokenizers

    normalize = normalizers.BertNormalizer(lowercase=True).normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    words = Counter[str]()
    for text in texts:
        words.update(word for word, _ in split(normalize(text)))
    return words


def _repeat(words: dict[str, int], chunk: int = 1000) -> Iterator[str]:
    """Yields each word as often as it was counted, in chunks of repetitions."""
    for word, count in words.items():
        for begin in range(0, count, chunk):
            yield f"{word} " * min(chunk, count - begin)


def write_tokenizer_folder(tokens: list[str], folder: str | Path) -> Path:
    """Writes `tokenizer.json`, its config and `vocab.txt` for a list of tokens."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocab["</s>"]), ("<s>", vocab["<s>"]), add_prefix_space=False
    )
    special = [AddedToken(token, normalized=False, special=True) for token in LEADING_TOKENS]
    special.append(AddedToken(MASK_TOKEN, lstrip=True, normalized=False, special=True))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": UNKNOWN,
        "mask_token": MASK_TOKEN,
    }
    config = roles | {
        "tokenizer_class": "MPNetTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": MODEL_MAX_LENGTH,
    }
    _write_json(folder / "special_tokens_map.json", roles)
    _write_json(folder / "tokenizer_config.json", config)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return folder


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
