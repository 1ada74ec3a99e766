"""The tokenizer in the TensorFlow graph, with exactly the ids of Hugging Face's.

`Tokenizer` is imported on first use: it needs TensorFlow, and training a vocabulary
(`rejoinder.models.tokenizer.wordpiece`) does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rejoinder.models.tokenizer.tokenizer import TokenizedText as TokenizedText
    from rejoinder.models.tokenizer.tokenizer import Tokenizer as Tokenizer

__all__ = ["TokenizedText", "Tokenizer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rejoinder.models.tokenizer import tokenizer

    return getattr(tokenizer, name)
