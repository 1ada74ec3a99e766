"""`/search` and `/indexes`."""

from typing import Any

from pydantic import Field

from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.apis.schemas.fields import BOOLEAN, MODEL, Text

MAX_ANSWERS = 100


class SearchRequest(Body):
    """The text to search for, and where."""

    index: str = Field(description="a string, the name of an index")
    input: Text = Field(description="a string")
    k: int = Field(10, ge=1, le=MAX_ANSWERS, description=f"a whole number from 1 to {MAX_ANSWERS}")
    model: str | None = Field(None, description=MODEL)
    auto_truncate: bool = Field(True, description=BOOLEAN)


class Found(Body):
    """A text of the index, its cosine with the input, and its other columns."""

    text: str
    score: float
    fields: dict[str, Any]


class SearchAnswer(Body):
    """The nearest texts, the best first."""

    index: str
    model: str
    num_tokens: int
    truncated: bool
    answers: list[Found]


class Index(Body):
    """A search index."""

    name: str
    texts: int


class Indexes(Body):
    """The indexes of this server."""

    indexes: list[Index]
