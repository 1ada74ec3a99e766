"""What is known of the running request: its id, its phases and what it asks for.

The log, the metrics and the traces are written from it when the request ends. It holds no
part of a text, a key or a path.
"""

import contextvars
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_current: contextvars.ContextVar["RequestRecord | None"]
_current = contextvars.ContextVar("request_record", default=None)


class Phase(NamedTuple):
    """A part of a request: name, monotonic times of start and end in seconds, and attributes."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str | int]


@dataclass
class RequestRecord:
    """What is known of a request.

    Attributes:
        request_id: The client's `X-Request-Id` if it is well-formed, otherwise a new one.
        phases: Finished phases.
        attributes: What the request asks for; values come from fixed sets.
    """

    request_id: str
    phases: list[Phase] = field(default_factory=list)
    attributes: dict[str, str | int] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """Returns the time of all phases of a name."""
        return sum(phase.end - phase.start for phase in self.phases if phase.name == name)


def begin(given_id: str) -> RequestRecord:
    """Makes a record and lets `note`, `annotate` and `current_id` of this task use it."""
    is_good = _REQUEST_ID.fullmatch(given_id)
    record = RequestRecord(given_id if is_good else uuid.uuid4().hex)
    _current.set(record)
    return record


def current_id() -> str:
    """Returns the id of the running request, "" outside of requests."""
    record = _current.get()
    return record.request_id if record else ""


def note(name: str, start: float, end: float, **attributes: str | int) -> None:
    """Adds a phase to the running request, if there is one."""
    if record := _current.get():
        record.phases.append(Phase(name, start, end, attributes))


def annotate(**attributes: str | int) -> None:
    """Adds attributes to the running request, if there is one."""
    if record := _current.get():
        record.attributes.update(attributes)
