"""Encodes pairs of texts as shards: tokenizes each text once, encodes by columns, frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.corpus import features as names
from rejoinder.corpus import tfrecord
from rejoinder.corpus.varint import encode_token_ids
from rejoinder.pipelines.shards import wire_format

# Pairs encoded at once: their records need several times the memory of their bytes.
_PIECE_PAIRS = 1 << 16
# Ragged token ids of distinct texts: (int32 values [m], int64 row_splits [n + 1]).
Tokenize = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class ShardData:
    """The bytes of one shard file and its number of examples."""

    data: bytes
    examples: int


class PairEncoder:
    """The pairs of a bucket, with every distinct text tokenized once.

    Attributes:
        context_chars: int [p], code points of each pair's context.
        response_chars: int [p], code points of each pair's response.
        context_tokens: int [p], token ids of each pair's context.
        response_tokens: int [p], token ids of each pair's response.
    """

    def __init__(
        self,
        texts: pl.Series,
        context: np.ndarray,
        response: np.ndarray,
        tokenize: Tokenize,
        further: np.ndarray | None = None,
    ) -> None:
        """Tokenizes the texts that occur in pairs.

        Args:
            texts: String [n].
            context: int64 [p], index in `texts` of each pair's context.
            response: int64 [p], the same for the response.
            tokenize: Texts to token ids.
            further: int64 [p, k], the same for the ancestors of the context, nearest first; -1
                if there is none.
        """
        ancestors = np.zeros((len(context), 0), np.int64) if further is None else further
        used, numbers = number_used(len(texts), context, response, *ancestors.T)
        self._context, self._response, *self._further = numbers
        used_texts = texts.gather(pl.Series(used))
        values, row_splits = tokenize(used_texts.to_list())
        packed = encode_token_ids(values, row_splits)
        self._further_ids = [
            wire_format.ids_feature(names.extra_context_ids(index), packed)
            for index in range(len(self._further))
        ]
        self._context_ids = wire_format.ids_feature(names.CONTEXT_IDS, packed)
        self._response_ids = wire_format.ids_feature(names.RESPONSE_IDS, packed)
        chars, tokens = used_texts.str.len_chars().to_numpy(), np.diff(row_splits)
        self.context_chars, self.response_chars = chars[self._context], chars[self._response]
        self.context_tokens, self.response_tokens = tokens[self._context], tokens[self._response]

    def encode(self, pairs: np.ndarray, text: Mapping[str, pa.Array]) -> ShardData:
        """Encodes some pairs as one shard.

        Args:
            pairs: int64 [k], indices of the pairs, in the order of the shard.
            text: Values, string [k], of each further feature by its name; where a value is
                null the example lacks the feature.
        """
        pieces = [
            self._encode_piece(
                pairs[start : start + _PIECE_PAIRS],
                {name: values.slice(start, _PIECE_PAIRS) for name, values in text.items()},
            )
            for start in range(0, len(pairs), _PIECE_PAIRS)
        ]
        return ShardData(b"".join(pieces), len(pairs))

    def _encode_piece(self, pairs: np.ndarray, text: Mapping[str, pa.Array]) -> bytes:
        columns = {
            names.CONTEXT_IDS: self._context_ids.take(pa.array(self._context[pairs])),
            names.RESPONSE_IDS: self._response_ids.take(pa.array(self._response[pairs])),
            **{
                names.extra_context_ids(index): ids.take(
                    pa.array(number[pairs], mask=number[pairs] < 0)
                ).fill_null(b"")
                for index, (ids, number) in enumerate(
                    zip(self._further_ids, self._further, strict=True)
                )
            },
            **{name: wire_format.bytes_feature(name, values) for name, values in text.items()},
        }
        records = wire_format.encode_examples([columns[name] for name in sorted(columns)])
        return tfrecord.frame(records)


def number_used(total: int, *columns: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Numbers the texts that occur in pairs, so that each is tokenized once.

    Args:
        total: Number of texts.
        *columns: int64 [p] each, indices of texts; -1 for none.

    Returns:
        int64 [m], indices of the texts in use, rising; and `columns` as indices in these.
    """
    is_used = np.zeros(total + 1, bool)
    for column in columns:
        is_used[column] = True  # the last place is that of -1
    used = np.flatnonzero(is_used[:total])
    numbers = np.append(np.cumsum(is_used[:total]) - 1, -1)
    return used, [numbers[column] for column in columns]
