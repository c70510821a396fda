"""Spans of what a request has written to Kafka. See docs/traces.md."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from msgspec import UNSET, Raw, UnsetType

from contracts.traceparent import trace_id_of, valid
from contracts.types.registry import Source
from services.ingest.domain.events import Accepted
from services.platform import tracing
from services.platform.tracing import Kind, Span, Value

__all__ = ["Sending"]

_QUOTE: Final = b'"'


class Sending:
    """One span for all that a request has written to `topic`; a batch of 2,000 events has one, not 2,000.

    traceparent: what every record carries, but for an event that came with a trace of its own (`of_event`).
    """

    def __init__(self, topic: str, request: web.Request, source: Source) -> None:
        self._about: dict[str, Value] = {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "sallyport.source": source.id,
        }
        self._topic = topic
        self._span = tracing.begin(
            f"send {topic}",
            Kind.PRODUCER,
            tracing.upstream(request.headers.get("traceparent")),
            self._about | {"messaging.operation.type": "send"},
        )
        self._own: list[Span] = []
        self.traceparent = self._span.traceparent

    def of_event(self, attribute: Raw | UnsetType, accepted: Accepted) -> str | None:
        """What the record of an event carries.

        attribute: the event's own `traceparent`, as it came. The HTTP header tells of the request, the attribute where
        the event began: where they name two traces, the event goes on in its own, and is linked to the request's. One
        that cannot be read is as good as none.
        """
        if attribute is UNSET:
            return self.traceparent
        own = _text(attribute)
        if own is None or (self.traceparent is not None and trace_id_of(own) == trace_id_of(self.traceparent)):
            return self.traceparent
        span = tracing.begin(
            f"create {self._topic}",
            Kind.PRODUCER,
            own,
            self._about
            | {
                "messaging.operation.type": "create",
                "sallyport.kind": accepted.kind,
                "sallyport.facility": accepted.event.facility,
            },
            links=[self.traceparent] if self.traceparent is not None else [],
        )
        self._own.append(span)
        return span.traceparent

    def end(self, count: int, error: str | None = None) -> None:
        """`count` records were written, or were not. error: a code."""
        self._span.note({"messaging.batch.message_count": count})
        for span in (*self._own, self._span):
            span.end(error)


def _text(attribute: Raw) -> str | None:
    raw = bytes(attribute)
    return valid(raw[1:-1].decode("ascii", "replace")) if raw.startswith(_QUOTE) else None
