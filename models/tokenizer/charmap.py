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
    """Builds the tables for a `BertNormalizer` given as JSON (about a second, then cached)."""
    outputs = _normalize_each(normalizer_json)
    alphabet = sorted(set().union(*outputs.values()))
    hf_splits = _hugging_face_punctuation(alphabet)
    tf_splits = _tf_text_punctuation(alphabet)
    unspaced = set().union(
        *(out for out in outputs.values() if not (out[:1] == " " and out[-1:] == " "))
    )
    hidden = sorted((tf_splits - hf_splits) & unspaced)
    stand_ins = dict(zip(map(ord, hidden), _STAND_INS, strict=False))
    spaced = {ord(char): f" {char} " for char in hf_splits - tf_splits}
    separators = {" "} | hf_splits

    entries = np.zeros(NUM_CODE_POINTS, np.int32)
    expansions: dict[tuple[int, ...], int] = {(): 0}
    # A UTF-8 decoder never returns lone surrogates; they map to nothing.
    entries[0xD800:0xE000] = EXPANSION
    for code_point, output in outputs.items():
        flagged = tuple(
            2 * ord(char) + (char in separators)
            for char in output.translate(spaced).translate(stand_ins)
        )
        if len(flagged) == 1:
            entries[code_point] = flagged[0] - 2 * code_point
        else:
            entries[code_point] = EXPANSION - expansions.setdefault(flagged, len(expansions))
    pages, page_of = np.unique(entries.reshape(-1, PAGE_SIZE), axis=0, return_inverse=True)
    return CharMap(
        page_of=page_of.reshape(-1).astype(np.int32),
        pages=pages.astype(np.int32),
        starts=np.cumsum([0] + [len(output) for output in expansions]).astype(np.int32),
        values=np.array([value for output in expansions for value in output], np.int32),
        stand_ins=stand_ins,
    )


def _normalize_each(normalizer_json: str) -> dict[int, str]:
    """Returns the normalizer's output for every assigned plane's code points."""
    from tokenizers.normalizers import BertNormalizer

    config = json.loads(normalizer_json)
    normalizer = BertNormalizer(
        clean_text=config.get("clean_text", True),
        handle_chinese_chars=config.get("handle_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("lowercase", True),
    )
    normalize = normalizer.normalize_str
    return {
        code_point: normalize(chr(code_point))
        for code_point in range(NUM_CODE_POINTS)
        if not 0xD800 <= code_point < 0xE000 and code_point not in _UNASSIGNED
    }


def _hugging_face_punctuation(alphabet: list[str]) -> set[str]:
    """Returns the characters that are a separate word for `BertPreTokenizer`."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    split = BertPreTokenizer().pre_tokenize_str
    found: set[str] = set()
    # An "a" on both sides distinguishes punctuation from a word of one character. The
    # chunks are short because the time grows with the square of their length.
    for begin in range(0, len(alphabet), 1000):
        chunk = alphabet[begin : begin + 1000]
        pieces = split("a" + "a".join(chunk) + "a")
        found.update(piece for piece, _ in pieces if len(piece) == 1 and piece != "a")
    return found


def _tf_text_punctuation(alphabet: list[str]) -> set[str]:
    """Returns the characters that are a separate word for TF Text's WordPiece."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    probe = tf_text.FastWordpieceTokenizer(["a", "##a", "[UNK]"], token_out_type=tf.int32)
    counts = probe.tokenize(tf.constant([f"a{char}a" for char in alphabet])).row_lengths()
    # Pieces a, [UNK], a: the character is a separate word. "a" itself also gives three.
    return {char for char, count in zip(alphabet, counts.numpy(), strict=True) if count == 3} - {
        "a"
    }
