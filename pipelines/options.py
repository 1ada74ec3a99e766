"""What shapes the pairs. Two runs with equal options and inputs write equal bytes."""

from dataclasses import asdict, dataclass
from typing import Any

from corpus.errors import UserError


@dataclass(frozen=True)
class ExtractOptions:
    """The options of an extraction, recorded in the manifest.

    Attributes:
        preset: Name of the filter preset.
        min_chars: Fewest code points of a context or response.
        max_chars: Most code points of a context or response.
        extra_contexts: How many further ancestors become `context/0`….
        keep_text: Whether the train split carries the text features too.
        max_length: Most token ids per side, `<s>` and `</s>` included.
        num_shards: Shards per split, and buckets of the shuffle; 0 chooses by input size.
    """

    preset: str = "polyai"
    min_chars: int = 9
    max_chars: int = 127
    extra_contexts: int = 0
    keep_text: bool = False
    max_length: int = 128
    num_shards: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_chars", 0, 1 << 20),
            ("max_chars", 1, 1 << 20),
            ("extra_contexts", 0, 100),
            ("max_length", 3, 1 << 16),
            ("num_shards", 0, 99_999),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag}: must be {low} to {high}, got {value}")
        if self.min_chars > self.max_chars:
            raise UserError(
                f"--min-chars {self.min_chars} exceeds --max-chars {self.max_chars}: "
                "no comment could pass"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON values."""
        return asdict(self)
