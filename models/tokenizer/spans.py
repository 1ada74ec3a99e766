"""The text and the place of each token in its text, as Hugging Face's fast tokenizers give them.

The graph returns ids only. Their pieces are found again in the text, whose characters are
normalized one by one with Python's Unicode tables. Where these differ from the tokenizer's, the
places of the following pieces of the text are unknown (None), but never wrong.
"""

import itertools
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rejoinder.models.tokenizer.spec import TokenizerSpec

# Ideographs, each of which BERT's normalizer makes a word.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Span(NamedTuple):
    """A token.

    Attributes:
        id: Its id.
        text: Its part of the text; of a special token, its name.
        special: Whether it was added around the text.
        start: Index of its first code point in the text, or None.
        stop: Index behind its last one, or None.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True)
class Vocabulary:
    """What is needed to find tokens in a text.

    Attributes:
        tokens: A token's index is its id.
        normalizer: `BertNormalizer` settings.
        suffix_indicator: Prefix of pieces inside a word, `##`.
        unk_id: Id of an unknown word.
    """

    tokens: Sequence[str]
    normalizer: dict[str, Any]
    suffix_indicator: str
    unk_id: int

    @classmethod
    def of(cls, spec: TokenizerSpec) -> "Vocabulary":
        """Returns the vocabulary of a tokenizer."""
        return cls(spec.tokens, spec.normalizer, spec.suffix_indicator, spec.unk_id)

    def to_json(self) -> str:
        """Returns the vocabulary in the form that `from_json` reads."""
        return json.dumps(
            {
                "suffix_indicator": self.suffix_indicator,
                "unk_id": self.unk_id,
                "normalizer": self.normalizer,
                "tokens": self.tokens,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Reads what `to_json` returned."""
        return cls(**json.loads(text))

    def spans(self, text: str, ids: Sequence[int]) -> list[Span]:
        """Finds tokens in their text.

        Args:
            text: The text.
            ids: Its ids, from the special token before it to the one after it.
        """
        places = self._places(text, ids[1:-1])
        spans = []
        for index, token in enumerate(ids):
            if index in (0, len(ids) - 1):
                spans.append(Span(token, self.tokens[token], True, None, None))
                continue
            place = next(places)
            if place is None:
                piece = self.tokens[token].removeprefix(self.suffix_indicator)
                spans.append(Span(token, piece, False, None, None))
            else:
                spans.append(Span(token, text[slice(*place)], False, *place))
        return spans

    def _places(self, text: str, ids: Sequence[int]) -> Iterator[tuple[int, int] | None]:
        """Yields the place of each piece, None for all from the first one that is not found."""
        characters = self._characters(text)
        following = next(characters, None)
        found: list[tuple[str, int]] = []
        for token in ids:
            inside = bool(found)
            while following and following[0] == " ":
                following, inside = next(characters, None), False
            piece = self.tokens[token]
            if inside:
                piece = piece.removeprefix(self.suffix_indicator)
            found = []
            while following and (
                _continues(found, following[0]) if token == self.unk_id else len(found) < len(piece)
            ):
                found.append(following)
                following = next(characters, None)
            if not found or (
                token != self.unk_id and piece != "".join(character for character, _ in found)
            ):
                break
            yield found[0][1], found[-1][1] + 1
        yield from itertools.repeat(None)

    def _characters(self, text: str) -> Iterator[tuple[str, int]]:
        """Yields the characters of the normalized text with their index in the text."""
        lowercase = self.normalizer.get("lowercase", True)
        strip = self.normalizer.get("strip_accents")
        strip = lowercase if strip is None else strip
        for index, character in enumerate(text):
            for part in _normalized(character, lowercase=lowercase, strip_accents=strip):
                yield part, index


def _normalized(character: str, *, lowercase: bool, strip_accents: bool) -> str:
    """Returns what BERT's normalizer makes of a character; white space is one blank."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    if character in "\0�" or category.startswith("C"):
        return ""
    if strip_accents:
        parts = unicodedata.normalize("NFD", character)
        character = "".join(part for part in parts if unicodedata.category(part) != "Mn")
    return character.lower() if lowercase else character


def _continues(word: Sequence[tuple[str, int]], character: str) -> bool:
    """Returns whether a word goes on with a character."""
    if not word:
        return True
    return not (character == " " or _is_word(character) or _is_word(word[0][0]))


def _is_word(character: str) -> bool:
    """Returns whether a character is a word of its own: punctuation or an ideograph."""
    point = ord(character)
    if point < 128:
        return character.isprintable() and not character.isalnum() and character != " "
    if unicodedata.category(character).startswith("P"):
        return True
    return any(first <= point <= last for first, last in _IDEOGRAPHS)
