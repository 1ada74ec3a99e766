"""Counts the texts that both splits have: a text of test that train has, too, was seen.

Only hashes are kept, and of a large corpus only those of a sample: the texts whose hash begins
with some zero bits, as few bits as leave `MOST` texts. So the sample does not depend on the
order in which buckets are added, and what the splits share of it is exact.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Texts of both splits that are kept; a value of the job with so many hashes is 0.7 MB.
MOST = 1 << 16
_SEED = 7


@dataclass(frozen=True)
class SharedTexts:
    """Hashes of the texts of each split.

    Attributes:
        train: uint64 little-endian, ascending, each once.
        test: The same.
        bits: The hashes begin with so many zero bits, those of all texts with 0 or more.
    """

    train: bytes = b""
    test: bytes = b""
    bits: int = 0

    @classmethod
    def of(cls, train: pl.Series, test: pl.Series) -> "SharedTexts":
        """Hashes the texts of one bucket, string [n] each."""
        # Polars' hash is 200 times as fast on texts as `hashing.hash_strings`. Another release of
        # Polars may choose another sample.
        of_train, of_test = (
            texts.hash(_SEED).unique().sort().to_numpy() for texts in (train, test)
        )
        return _fitting(of_train, of_test, 0)

    def __add__(self, other: "SharedTexts") -> "SharedTexts":
        """Returns the texts of both."""
        train = np.union1d(_numbers(self.train), _numbers(other.train))
        test = np.union1d(_numbers(self.test), _numbers(other.test))
        return _fitting(train, test, max(self.bits, other.bits))

    def figures(self) -> dict[str, float]:
        """Returns the figures of the report.

        Returns:
            `test_texts`: different texts of the test split that were compared; `in_train`: those
            that the train split has, too; `compared`: share of all texts that was compared.
        """
        train, test = _numbers(self.train), _numbers(self.test)
        shared = np.intersect1d(train, test, assume_unique=True)
        return {"test_texts": len(test), "in_train": len(shared), "compared": 0.5**self.bits}

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        train, test = (base64.b64encode(data).decode() for data in (self.train, self.test))
        return {"train": train, "test": test, "bits": self.bits}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SharedTexts":
        """Reads the result of `to_dict`."""
        train, test = (base64.b64decode(values[name]) for name in ("train", "test"))
        return cls(train, test, values["bits"])


def _numbers(data: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(data, "<u8")


def _fitting(train: NDArray[np.uint64], test: NDArray[np.uint64], bits: int) -> SharedTexts:
    """Returns the texts of the smallest number of bits, at least `bits`, that are few enough."""
    while True:
        limit = np.uint64((1 << (64 - bits)) - 1)
        train, test = train[train <= limit], test[test <= limit]
        if len(train) + len(test) <= MOST:
            return SharedTexts(train.astype("<u8").tobytes(), test.astype("<u8").tobytes(), bits)
        bits += 1
