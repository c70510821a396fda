"""What a transaction's outputs belong to: the trace of the input that led to them. See docs/traces.md.

The fold knows nothing of it. Of a custody event its record tells; of what every instance reads whole, `Contexts` does.
Only what led to a conflict or a review has a span: of a hundred events, ninety-nine lead to nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from aiokafka import ConsumerRecord

from contracts.traceparent import traceparent_of
from contracts.types.conflict import Conflict, Review
from services.matcher.domain.fold import Outputs
from services.matcher.domain.inputs import DecisionInput, DetainerInput, Input
from services.platform import tracing
from services.platform.tracing import Kind, Span, Value

__all__ = ["Contexts", "span_of"]

_KEPT: Final = 20_000
_Name = tuple[str, Hashable]


class Contexts:
    """(name of a broadcast, key) -> the traceparent of its newest change; of the newest 20,000 that have one.

    A change is judged moments after it was read, or when its partition is restored. What is older by then has lost its
    trace, and nothing else.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._of: OrderedDict[_Name, str] = OrderedDict()

    def note(self, name: str, key: Hashable, record: ConsumerRecord) -> None:
        """The record changed `key`."""
        traceparent = traceparent_of(record.headers)
        if traceparent is None:
            if self._of:
                self._of.pop((name, key), None)
            return
        self._of[name, key] = traceparent
        self._of.move_to_end((name, key))
        if len(self._of) > self._kept:
            self._of.popitem(last=False)

    def of(self, given: Input) -> str | None:
        """That of an input which is such a change."""
        match given:
            case DetainerInput(detainer_id=detainer_id):
                return self._of.get(("detainers", detainer_id))
            case DecisionInput(detainer_id=detainer_id, episode_id=episode_id):
                return self._of.get(("decisions", (detainer_id, episode_id)))
        return None


def span_of(
    given: Input, outputs: Outputs, record: ConsumerRecord | None, kind: str, contexts: Contexts, started_ns: int | None
) -> Span:
    """The span of judging an input that led to conflicts or reviews, to be ended when they are committed.

    record: that the input was, if it was a custody event. kind: of the input. What time led to begins a trace of its
    own.
    """
    parent = traceparent_of(record.headers) if record is not None else contexts.of(given)
    if not tracing.is_on():
        return Span(parent)
    return tracing.begin(
        f"process {_TOPICS.get(kind, kind)}",
        Kind.CONSUMER,
        parent,
        _about(outputs, record, kind),
        started_ns=started_ns,
    )


_TOPICS: Final = {"custody": "custody.events.v1", "detainer": "detainers.v1", "decision": "review.decisions.v1"}
"""Topic of a kind of input; where it is none, the span is named by the kind: timer, breaker, time_zone,
identity_model."""


def _about(outputs: Outputs, record: ConsumerRecord | None, kind: str) -> dict[str, Value]:
    about: dict[str, Value] = {
        "messaging.operation.type": "process",
        "sallyport.kind": kind,
        "sallyport.conflicts": len(outputs.conflicts),
        "sallyport.reviews": len(outputs.reviews),
    }
    if kind in _TOPICS:
        about |= {"messaging.system": "kafka", "messaging.destination.name": _TOPICS[kind]}
    if record is not None:
        about |= {"messaging.destination.partition.id": str(record.partition), "messaging.kafka.offset": record.offset}
    # The first of them; further ones have their spans at the notifier.
    led_to: tuple[Conflict | Review, ...] = (*outputs.conflicts, *outputs.reviews)
    if led_to:
        about["sallyport.conflict_id"] = led_to[0].conflict_id
        about["sallyport.stage"] = str(led_to[0].stage)
        about["sallyport.detainer_id"] = led_to[0].detainer.detainer_id
    if outputs.conflicts:
        conflict = outputs.conflicts[0]
        about["sallyport.conflict_version"] = conflict.version
        about["sallyport.episode_id"] = conflict.episode.episode_id
        about["sallyport.facility"] = conflict.episode.facility
    return about
