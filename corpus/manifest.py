"""`manifest.json`: the contents, origin and checksums of a corpus."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rejoinder import storage
from rejoinder.corpus.naming import COMPLETED, MANIFEST
from rejoinder.errors import UserError

FORMAT_VERSION = 1
# Format of a corpus that can grow, or of which pairs were removed: the same, with `generations`,
# `state` and `removals`.
GROWING_FORMAT_VERSION = 2
_FORMAT_VERSIONS = (FORMAT_VERSION, GROWING_FORMAT_VERSION)
# Fields that a corpus without such a change does not have.
_GROWING = ("generations", "state", "removals")
# Counter of the pairs beyond the first of their line (a set, a list of positives).
FURTHER_PAIR = "further_pair"


@dataclass(frozen=True)
class Shard:
    """One shard file: its name inside the folder, examples, size in bytes and sha256 (hex)."""

    name: str
    examples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Which bytes a corpus holds, and from what they were made.

    Attributes:
        name: Name of the data set, the folder's last component by default.
        splits: Shards of each split, in order.
        max_length: Token ids per side never exceed this.
        tokenizer: Fingerprint of the tokenizer, `rejoinder.models.tokenizer.Tokenizer.fingerprint`.
        pad_id: Padding id of that tokenizer.
        vocab_size: Entries of that tokenizer.
        has_text: Splits that carry the text features.
        options: Options that shaped the pairs, as resolved.
        inputs: One entry per input file: path, bytes, sha256.
        counters: Every line and every further pair ends in exactly one of these; see
            `counted_lines`.
        versions: Versions of the software that wrote the corpus.
        generations: One entry per run that added to the corpus: paths of its inputs, lines, shards
            and pairs by split; empty if the corpus keeps no thread state.
        state: The thread state (`rejoinder.corpus.thread_state`): months to keep, the newest
            month, counted from year 0, and the number of files; empty if there is none.
        removals: One entry per run of `rejoinder forget` that removed pairs: how many by split, and
            the sha256 of each shard that it replaced, by split and number.
    """

    name: str
    splits: dict[str, list[Shard]]
    max_length: int
    tokenizer: str
    pad_id: int
    vocab_size: int
    has_text: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    generations: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, int] = field(default_factory=dict)
    removals: list[dict[str, Any]] = field(default_factory=list)

    def examples(self, split: str) -> int:
        """Returns the number of pairs in `split`."""
        return sum(shard.examples for shard in self.splits.get(split, []))

    @property
    def hard_negatives(self) -> int:
        """Hard negatives of each train pair, from `rejoinder mine`; 0 in other corpora."""
        return int(self.options.get("mine", {}).get("negatives", 0))

    @property
    def guide(self) -> str:
        """The model whose vectors the train pairs carry, from `rejoinder mine --guide`; or ""."""
        mined = self.options.get("mine", {})
        return str(mined["model"]) if mined.get("guide") else ""

    @property
    def extra_contexts(self) -> int:
        """Earlier turns whose token ids the pairs carry, at most; 0 if they carry none."""
        return int(self.options.get("context_ids", 0))

    def stored_bytes(self) -> int:
        """Returns the size of all shards."""
        return sum(shard.bytes for shards in self.splits.values() for shard in shards)

    def to_json(self) -> str:
        """Returns the file's text: sorted keys, so the same corpus gives the same bytes."""
        values = {k: v for k, v in asdict(self).items() if v or k not in _GROWING}
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = MANIFEST) -> "Manifest":
        """Reads `to_json`'s text.

        Raises:
            UserError: The text is not a manifest of this format version; `source` names it.
        """
        try:
            values = json.loads(text)
            version = values.get("format_version")
            if version not in _FORMAT_VERSIONS:
                raise UserError(
                    f"{source}: format_version is {version!r}, this release reads "
                    f"{' and '.join(map(str, _FORMAT_VERSIONS))}; make the corpus again with this "
                    "release"
                )
            values["splits"] = {
                split: [Shard(**shard) for shard in shards]
                for split, shards in values["splits"].items()
            }
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{source}: not a corpus manifest ({error}); make the corpus again"
            ) from error


def counted_lines(counters: Mapping[str, int]) -> int:
    """Returns the number of lines that the counters of a corpus count.

    A line that gives several pairs is counted with each of them, and with all but one
    of them in `FURTHER_PAIR`.
    """
    return sum(counters.values()) - 2 * counters.get(FURTHER_PAIR, 0)


def load_manifest(folder: str) -> Manifest:
    """Reads the manifest of a finished corpus.

    Args:
        folder: The corpus folder, on any file system of `rejoinder.storage`.

    Raises:
        UserError: There is no such folder, or the run that writes it has not finished.
    """
    if not storage.exists(storage.join(folder, COMPLETED)):
        reason = "is not finished" if storage.exists(folder) else "does not exist"
        raise UserError(
            f"{folder}: corpus {reason} (no {COMPLETED} file); "
            f"make it with `rejoinder preprocess --output {folder}`"
        )
    path = storage.join(folder, MANIFEST)
    return Manifest.from_json(storage.read_bytes(path).decode(), source=path)
