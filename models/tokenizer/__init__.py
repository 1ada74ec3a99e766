"""The tokenizer in the graph: exact to Hugging Face's, one implementation everywhere."""

from rejoinder.models.tokenizer.tokenizer import TokenizedText, Tokenizer

__all__ = ["TokenizedText", "Tokenizer"]
