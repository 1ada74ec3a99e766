"""What readers report beside rows and counts: samples of what was dropped, and matched names."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl

# Samples kept for each counter.
KEPT = 20
# Characters of a sample.
MAX_CHARS = 300


class Sample(NamedTuple):
    """A dropped text or line.

    Attributes:
        order: Hash of the text's origin; the samples with the lowest ones are kept, so that
            they do not depend on the division of the input.
        origin: Id of the comment, or file and line.
        text: Beginning of the text.
    """

    order: int
    origin: str
    text: str


@dataclass
class ReadNotes:
    """Notes about one part of the input, or about all parts.

    Attributes:
        with_samples: Whether samples are wanted.
        samples: At most `KEPT` samples by counter, in order.
        matched: Those of the listed subreddits that occur in the input, in lower case.
        months: Comments by month, counted from year 0; only of a corpus that can grow.
    """

    with_samples: bool = True
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    months: Counter[int] = field(default_factory=Counter)

    def count_months(self, months: "pl.Series") -> None:
        """Counts comments by month, int16 [n] with nulls, which are left out."""
        found = months.drop_nulls().rename("month").value_counts(name="comments")
        self.months.update(dict(found.rows()))

    def add_samples(self, counter: str, samples: Iterable[Sample]) -> None:
        """Adds samples of one counter; those with the lowest hashes are kept."""
        kept = heapq.nsmallest(KEPT, {*self.samples.get(counter, ()), *samples})
        if kept:
            self.samples[counter] = kept

    def highest_order(self, counter: str) -> int:
        """Returns the highest hash with which a further sample of a counter can be kept."""
        kept = self.samples.get(counter, [])
        return kept[-1].order if len(kept) == KEPT else (1 << 64) - 1

    def add(self, other: "ReadNotes") -> None:
        """Adds the notes about another part."""
        self.matched |= other.matched
        self.months.update(other.months)
        for counter, samples in other.samples.items():
            self.add_samples(counter, samples)

    def to_dict(self) -> dict[str, Any]:
        """Returns the notes as JSON values."""
        return {
            "samples": self.samples,
            "matched": sorted(self.matched),
            "months": sorted(self.months.items()),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ReadNotes":
        """Reads the result of `to_dict`, also after it was JSON."""
        samples = {name: [Sample(*s) for s in found] for name, found in values["samples"].items()}
        months = Counter(dict(values["months"]))
        return cls(samples=samples, matched=set(values["matched"]), months=months)


def sample_of_line(path: str, line: int, text: str) -> Sample:
    """Returns the sample of a rejected line.

    Args:
        path: Its file.
        line: Its number in the file, from 1.
        text: Its beginning.
    """
    digest = hashlib.blake2b(f"{line} {text}".encode("utf-8", "replace"), digest_size=8).digest()
    return Sample(int.from_bytes(digest, "big"), f"{path} line {line:,}", text[:MAX_CHARS])
