"""Tables of the Hugging Face normalizer's output for every code point.

The tables are computed with the installed `tokenizers`, so they have its Unicode
version. TF Text splits words by another Unicode version. The tables compensate for
the difference: punctuation that only Hugging Face knows gets spaces around it, and
punctuation that only TF Text knows is replaced by a private-use character, in the text
and in the vocabulary. (The normalizer drops private-use characters, so none of them
is in use.)

The normalizer works per code point with one exception: NFD also sorts adjacent
combining marks. These are stripped, except for marks newer than the normalizer's
tables. The order matters only if a vocabulary has two such marks (MPNet's has none)
and a text has them in non-canonical order.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

NUM_CODE_POINTS = 0x110000
PAGE_SIZE = 256
# Entries at or below this are expansions, entries above it are differences.
EXPANSION = -(1 << 23)
# Replaces a word that must become the unknown token.
UNKNOWN_CHAR = 0xE000
# Private-use planes 15 and 16, without the noncharacters at the end of a plane.
_STAND_INS = (*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))
# Planes 4 to 13 are unassigned: every code point there maps to itself.
_UNASSIGNED = range(0x40000, 0xE0000)
# A UTF-8 decoder never returns lone surrogates. They map to nothing, as `_STAND_INS` do.
_SURROGATES = range(0xD800, 0xE000)
_ASSIGNED = (
    *range(_SURROGATES.start),
    *range(_SURROGATES.stop, _UNASSIGNED.start),
    *range(_UNASSIGNED.stop, _STAND_INS[0]),
)
# Separates characters of one text: unassigned, so that the normalizer keeps it and sorts no
# marks across it. A call per character would take most of the time.
_SEPARATOR = chr(_UNASSIGNED.start)
_CHUNK = 1 << 12


@dataclasses.dataclass(frozen=True)
class CharMap:
    """The normalizer as arrays.

    An output value is `2 * code_point + separator`, where separator is 1 if
    the character ends a word (a space or punctuation). For the code point `c`,
    `e = pages[page_of[c // 256], c % 256]` is either above `EXPANSION`, and the
    one output value is `2 * c + e`, or the output values are
    `values[starts[k]:starts[k + 1]]` with `k = EXPANSION - e`.

    Attributes:
        page_of: int32 [4352].
        pages: int32 [number of different pages, 256].
        starts: int32 [number of expansions + 1].
        values: int32 [total expanded characters].
        stand_ins: Replacements for the vocabulary, in the form of `str.translate`.
    """

    page_of: np.ndarray
    pages: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    stand_ins: dict[int, int]

    def digest(self) -> bytes:
        """Returns the sha256 of the tables."""
        parts = (self.page_of, self.pages, self.starts, self.values)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


@functools.lru_cache(maxsize=4)
def build_charmap(normalizer_json: str) -> CharMap:
    """Builds the tables for a `BertNormalizer` given as JSON (cached)."""
    outputs = _normalize_each(_ASSIGNED, normalizer_json)
    alphabet = _alphabet(outputs)
    hf_splits = _hugging_face_punctuation(alphabet)
    tf_splits = _tf_text_punctuation(alphabet)
    unspaced = set("".join(out for out in outputs if not (out[:1] == " " and out[-1:] == " ")))
    hidden = sorted((tf_splits - hf_splits) & unspaced)
    stand_ins = dict(zip(map(ord, hidden), _STAND_INS, strict=False))
    spaced = {ord(char): f" {char} " for char in hf_splits - tf_splits}
    values, starts = _flag(outputs, {**spaced, **stand_ins}, {" "} | hf_splits)

    entries = np.zeros(NUM_CODE_POINTS, np.int32)
    entries[_SURROGATES.start : _SURROGATES.stop] = EXPANSION
    entries[list(_STAND_INS)] = EXPANSION
    points, lengths = np.array(_ASSIGNED), np.diff(starts)
    single = lengths == 1
    entries[points[single]] = values[starts[:-1][single]] - 2 * points[single]
    expansions: dict[bytes, int] = {b"": 0}
    data, offsets = values.tobytes(), (starts * values.itemsize).tolist()
    for index in np.flatnonzero(~single).tolist():
        expansion = data[offsets[index] : offsets[index + 1]]
        number = expansions.setdefault(expansion, len(expansions))
        entries[_ASSIGNED[index]] = EXPANSION - number
    pages, page_of = _distinct_rows(entries.reshape(-1, PAGE_SIZE))
    sizes = [len(expansion) // values.itemsize for expansion in expansions]
    return CharMap(
        page_of=page_of.astype(np.int32),
        pages=pages,
        starts=np.cumsum([0, *sizes]).astype(np.int32),
        values=np.frombuffer(b"".join(expansions), np.int32),
        stand_ins=stand_ins,
    )


def hugging_face_digest(normalizer_json: str) -> str:
    """Returns the sha256, in hex, of what the installed `tokenizers` makes of code points.

    Two releases of the library with the same digest give the same ids. Of the planes above 1,
    which hold nothing but ideographs, it looks at every 16th code point.
    """
    first_planes = [*range(_SURROGATES.start), *range(_SURROGATES.stop, 0x20000)]
    digest = hashlib.sha256()
    points = [*first_planes, *range(0x20000, _UNASSIGNED.start, 16)]
    for text in _normalized_chunks(points, normalizer_json):
        digest.update(text.encode())
    punctuation = _hugging_face_punctuation("".join(map(chr, first_planes)))
    digest.update("".join(sorted(punctuation)).encode())
    return digest.hexdigest()


def _normalize_each(points: Sequence[int], normalizer_json: str) -> list[str]:
    """Returns the normalizer's output for each code point."""
    outputs: list[str] = []
    for text in _normalized_chunks(points, normalizer_json):
        outputs += text.split(_SEPARATOR)
    return outputs


def _normalized_chunks(points: Sequence[int], normalizer_json: str) -> Iterator[str]:
    """Yields the normalizer's output for all code points, with a separator between two."""
    from tokenizers.normalizers import BertNormalizer

    config = json.loads(normalizer_json)
    normalizer = BertNormalizer(
        clean_text=config.get("clean_text", True),
        handle_chinese_chars=config.get("handle_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("lowercase", True),
    )
    for begin in range(0, len(points), _CHUNK):
        text = _SEPARATOR.join(map(chr, points[begin : begin + _CHUNK]))
        yield normalizer.normalize_str(text)


def _alphabet(outputs: Sequence[str]) -> str:
    """Returns the characters that occur, each once, in the order of their code points."""
    occurs = np.zeros(NUM_CODE_POINTS, bool)
    occurs[np.frombuffer("".join(outputs).encode("utf-32-le"), np.int32)] = True
    return np.flatnonzero(occurs).astype("<i4").tobytes().decode("utf-32-le")


def _distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different rows of int32 [n, k], sorted, and the index of each row in these."""
    seen: dict[bytes, int] = {}
    # Most rows are equal, and comparing bytes is faster than sorting all of them.
    number = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])
    found = np.frombuffer(b"".join(seen), rows.dtype).reshape(len(seen), -1)
    distinct, position = np.unique(found, axis=0, return_inverse=True)
    return distinct, position.reshape(-1)[number]


def _flag(
    outputs: Sequence[str], replacements: dict[int, Any], separators: set[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the output values of all code points.

    Args:
        outputs: The normalizer's output for each of n code points.
        replacements: Replacements in the outputs, in the form of `str.translate`.
        separators: The characters that end a word.

    Returns:
        Values, int32 [m], one code point's after the other's; and where each begins,
        int64 [n + 1].
    """
    text = _SEPARATOR.join(outputs).translate(replacements) + _SEPARATOR
    codes = np.frombuffer(text.encode("utf-32-le"), np.int32)
    ends_word = np.zeros(NUM_CODE_POINTS, np.int32)
    ends_word[[ord(char) for char in separators]] = 1
    between = codes == ord(_SEPARATOR)
    ends = np.flatnonzero(between) - np.arange(len(outputs))
    kept = codes[~between]
    return 2 * kept + ends_word[kept], np.concatenate([[0], ends])


def _hugging_face_punctuation(alphabet: str) -> set[str]:
    """Returns the characters that are a separate word for `BertPreTokenizer`."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    split = BertPreTokenizer().pre_tokenize_str
    found: set[str] = set()
    # An "a" on both sides distinguishes punctuation from a word of one character. The
    # chunks are short because the time grows with the square of their length.
    for begin in range(0, len(alphabet), 500):
        chunk = alphabet[begin : begin + 500]
        pieces = split("a" + "a".join(chunk) + "a")
        found.update(piece for piece, _ in pieces if len(piece) == 1 and piece != "a")
    return found


def _tf_text_punctuation(alphabet: str) -> set[str]:
    """Returns the characters that are a separate word for TF Text's WordPiece."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    # In one text, because many short ones take longer to pass to TensorFlow.
    vocabulary = ["a", "##a", "b", "[UNK]"]
    probe = tf_text.FastWordpieceTokenizer(vocabulary, token_out_type=tf.int32)
    text = "b a" + "a b a".join(alphabet) + "a b"
    pieces = probe.tokenize(tf.constant([text])).flat_values.numpy()
    counts = np.diff(np.flatnonzero(pieces == vocabulary.index("b"))) - 1
    # Pieces a, [UNK], a: the character is a separate word. "a" itself also gives three.
    return {alphabet[index] for index in np.flatnonzero(counts == 3).tolist()} - {"a"}
