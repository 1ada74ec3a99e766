"""Cleans comment text for the `clean` preset: entities, quoted lines, markdown.

Reddit's API escapes `&`, `<` and `>`, and comments are written in Reddit's
markdown (https://support.reddithelp.com/hc/en-us/articles/360043033952).
"""

import html
import re

import polars as pl

_QUOTED_LINE = r"(?m)^[ \t]*>.*$\n?"
# (pattern, replacement), applied in this order.
_MARKDOWN = (
    (r"(?s)```.*?```", " "),  # fenced code
    (r"(?m)^(?: {4}|\t).*$", " "),  # indented code
    # Links and images; an address may hold one pair of parentheses.
    (r"!?\[([^\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"\n]*\")?\)", "$1"),
    (r"https?://\S+|\bwww\.\S+", " "),
    (r"(?m)^[ \t]*#{1,6}[ \t]*", ""),  # headings
    (r"(?m)^[ \t]*(?:[-*_][ \t]*){3,}$", " "),  # rules
    (r"(?m)^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+", ""),  # list items
    (r">!(.*?)!<", "$1"),  # spoilers
    (r"\*\*([^*\n]+)\*\*", "$1"),
    (r"\*([^*\s](?:[^*\n]*[^*\n\\])?)\*", "$1"),
    (r"(^|\W)__([^_\n]+)__(\W|$)", "$1$2$3"),
    (r"(^|\W)_([^_\n]+)_(\W|$)", "$1$2$3"),
    (r"~~([^~\n]+)~~", "$1"),
    (r"`([^`\n]*)`", "$1"),
    (r"\^\(([^)\n]*)\)|\^", "$1"),  # superscript
    (r"\\([\\`*_{}\[\]()#+\-.!~^>|])", "$1"),  # escapes
)


def clean(body: pl.Expr) -> pl.Expr:
    """Decodes entities, removes quoted lines and markdown, and joins runs of white space."""
    text = (
        pl.when(body.str.contains("&", literal=True))
        # Decoded twice, because old dumps hold `&amp;gt;`.
        .then(body.map_elements(_unescape, return_dtype=pl.String))
        .otherwise(body)
    ).str.replace_all(_QUOTED_LINE, "")
    for pattern, replacement in _MARKDOWN:
        text = text.str.replace_all(pattern, replacement)
    return text.str.replace_all(r"\s+", " ").str.strip_chars(" ")


def _unescape(text: str) -> str:
    # Numeric entities can encode NUL and surrogates, which the parser rejects.
    return re.sub("[\0\ud800-\udfff]", "", html.unescape(html.unescape(text)))
