"""The parts of one running server, shared by HTTP and gRPC."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.inflight import InflightBytes
from rejoinder.serving.keys import ApiKeys
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics

if TYPE_CHECKING:  # opening an index needs usearch; a server without an index does not
    from rejoinder.retrieval.index import SearchIndex
    from rejoinder.serving.tracing import Tracing


@dataclass
class Readiness:
    """Whether load balancers should send requests; false while the server drains."""

    ready: bool = True


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the handlers of all interfaces use.

    Attributes:
        registry: The served models.
        predictor: Tokenizes, batches and encodes.
        metrics: Counters for `/metrics`.
        limits: Bounds on requests.
        inflight: Bytes of all running requests.
        keys: Keys that give access.
        hosts: Names of this server that a request may use; empty allows all.
        origins: Web origins whose scripts may call this server; `*` for all.
        readiness: What `/ready` reports.
        indexes: Search indexes by name.
        tracing: Exports a trace of each request, if not None.
    """

    registry: Registry
    predictor: Predictor
    metrics: Metrics
    limits: Limits
    inflight: InflightBytes
    keys: ApiKeys
    hosts: Collection[str] = ()
    origins: Sequence[str] = ()
    readiness: Readiness = field(default_factory=Readiness)
    indexes: Mapping[str, "SearchIndex"] = field(default_factory=dict)
    tracing: "Tracing | None" = None
