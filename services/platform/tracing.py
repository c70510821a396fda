"""Traces: what an event led to, from the HTTP request across Kafka to the webhook. See docs/traces.md.

    span = tracing.begin("send custody.events.v1", Kind.PRODUCER, parent)
    ... span.traceparent goes into the record's headers ...
    span.end()

With no endpoint set a span records nothing, and its traceparent is that of its parent: what a sender gave is carried
on, and nothing is made up. OpenTelemetry is imported only when there is an endpoint, in `tracing_otlp`.

`ATTRIBUTES` is an allow-list, as `logs.KEYS` is: a span leaves the system, and names nobody (G8). An event's own id is
not on it, since its sender chose it; the ids here are derived by hash (docs/adr/0008), or ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Final, Protocol, TypeAlias

from contracts.traceparent import trace_id_of, valid

__all__ = [
    "ATTRIBUTES",
    "Kind",
    "Recorder",
    "Span",
    "UnknownAttribute",
    "Value",
    "allowed",
    "begin",
    "current_trace_id",
    "is_on",
    "log_fields",
    "scope",
    "set_up",
    "shut_down",
    "upstream",
]

Value: TypeAlias = str | int | float | bool
ATTRIBUTES: Final = frozenset(
    {
        # OpenTelemetry's own names
        "error.type", "http.request.method", "http.response.status_code", "http.route",
        "messaging.batch.message_count", "messaging.destination.name", "messaging.destination.partition.id",
        "messaging.kafka.offset", "messaging.operation.type", "messaging.system",
        # which: ids that are hashes or ours, never a name or a number that names a person
        "sallyport.agency", "sallyport.conflict_id", "sallyport.conflict_version", "sallyport.delivery_id",
        "sallyport.detainer_id", "sallyport.episode_id", "sallyport.facility", "sallyport.notice_id",
        "sallyport.review_id", "sallyport.source", "sallyport.subscription_id",
        # what came of it
        "sallyport.attempt", "sallyport.channel", "sallyport.conflicts", "sallyport.kind", "sallyport.reviews",
        "sallyport.stage",
    }
)  # fmt: skip


class Kind(Enum):
    """What a span is to whoever is at its other end (OpenTelemetry's span kinds)."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"


class UnknownAttribute(AssertionError):
    """A span was given an attribute that is not on the allow-list."""


class Span:
    """A piece of work in a trace; this one is only carried, and records nothing.

    traceparent: what goes along with whatever the work leads to; None where there is no trace.
    """

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes; those that are not on the allow-list are dropped."""

    def end(self, error: str | None = None) -> None:
        """It is done. error: a code, if it failed. Only the first call counts."""


class Recorder(Protocol):
    """Where spans are recorded, when they are."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Mapping[str, Value],
        links: Sequence[str],
        started_ns: int | None,
    ) -> Span: ...

    def shut_down(self, deadline_s: float) -> None: ...


_recorder: Recorder | None = None
_current: Final[ContextVar[Span | None]] = ContextVar("sallyport_span", default=None)
_strict = False
"""For tests: an attribute that is not allowed raises UnknownAttribute."""


def set_up(
    service: str, instance: str, endpoint: str, sample_ratio: float, *, headers: str = "", ca_file: str = ""
) -> None:
    """Record the spans of this process from now on, if there is an endpoint.

    endpoint: base URL of an OTLP receiver (http/protobuf); empty: record nothing. sample_ratio: share of the traces
    begun here that are recorded. headers, ca_file: for the receiver, as the settings say; empty: what OpenTelemetry's
    own variables say.

    Raises:
        ConfigurationError: the endpoint is no http(s) URL, the headers are none, or there are no CAs in the file.
    """
    global _recorder
    if not endpoint:
        _recorder = None
        return
    from services.platform.tracing_otlp import OtlpRecorder  # half a second and 15 MB that nobody pays who has no use

    _recorder = OtlpRecorder(service, instance, endpoint, sample_ratio, headers=headers, ca_file=ca_file)


def shut_down(deadline_s: float) -> None:
    """Send what is recorded, within `deadline_s` seconds, and record nothing more. Blocks."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.shut_down(deadline_s)


def is_on() -> bool:
    """Whether anything is recorded."""
    return _recorder is not None


def begin(
    name: str,
    kind: Kind,
    parent: str | None,
    attributes: Mapping[str, Value] | None = None,
    *,
    links: Sequence[str] = (),
    started_ns: int | None = None,
) -> Span:
    """Begin a span.

    name: one of a fixed set, such as an operation and a topic. parent: a valid traceparent; None begins a trace.
    links: valid traceparents of what else it belongs to. started_ns: when it began, in nanoseconds since 1970, if that
    is not now.
    """
    if _recorder is None:
        return Span(parent)
    return _recorder.begin(name, kind, parent, attributes or {}, links, started_ns)


def allowed(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Those attributes that are on the allow-list. Others are dropped; in tests they raise UnknownAttribute."""
    unknown = attributes.keys() - ATTRIBUTES
    if unknown and _strict:
        raise UnknownAttribute(f"not on the allow-list of services/platform/tracing.py: {sorted(unknown)}")
    return {name: value for name, value in attributes.items() if name not in unknown}


@contextmanager
def scope(span: Span) -> Iterator[None]:
    """Within it the span is what `upstream` finds, and log lines carry its trace id. It is not ended."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def upstream(carried: str | None = None) -> str | None:
    """The traceparent of what is done now: that of the span in scope, or else `carried`, if it is valid."""
    span = _current.get()
    return span.traceparent if span is not None else valid(carried)


def current_trace_id() -> str | None:
    """The trace id of the span in scope; None where there is none."""
    span = _current.get()
    if span is None or span.traceparent is None:
        return None
    return trace_id_of(span.traceparent)


def log_fields(traceparent: str | None) -> dict[str, str]:
    """What a log line about something that was not done just now says of its trace."""
    return {} if traceparent is None else {"trace_id": trace_id_of(traceparent)}
