"""`/health` and `/ready`."""

from typing import Literal

from rejoinder.serving.apis.schemas.body import Body


class Health(Body):
    """The process responds."""

    status: Literal["ok"]


class Ready(Body):
    """The server accepts requests."""

    status: Literal["ready"]
    models: list[str]
