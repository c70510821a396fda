"""What a conflict, or a review, carries of the trace of what led to it. The fold has no part in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import episode_id
from contracts.traceparent import traceparent_of
from contracts.types.custody import Booked
from services.matcher.adapters.records import CONFLICTS_TOPIC
from services.matcher.adapters.traces import Contexts
from services.matcher.adapters.transaction import Transaction
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.inputs import CustodyInput, DecisionInput, DetainerInput, Tick
from services.matcher.domain.partition import PartitionState
from services.matcher.identity_model import load_model
from services.platform import tracing
from services.platform.kafka.outlets import OutRecord
from services.platform.tracing import Kind, Span
from tests.unit.matcher.people import BOOKING, FACILITY, START, at, detainer, fact, person

ENGINE = WeighedEngine(load_model())
EPISODE = episode_id(FACILITY, BOOKING)
TRACE = f"00-{1:032x}-{2:016x}-01"


def kafka(topic: str, key: str, value: Any, traceparent: str | None) -> ConsumerRecord:
    headers = tuple(encode_headers(Attributes("e", "s", "t", START, START), traceparent))
    return ConsumerRecord(topic, 0, 7, 0, 0, key.encode(), msgspec.json.encode(value), None, 0, 0, headers)


def booked(traceparent: str | None) -> ConsumerRecord:
    event = Booked(facility=FACILITY, booking_number=BOOKING, occurred_at=START, person=person())
    return kafka("custody.events.v1", EPISODE, event, traceparent)


def transaction(contexts: Contexts | None = None, *, held: bool = False) -> Transaction:
    """Of a partition whose book has a detainer on the person. held: the person is in custody there already."""
    state = PartitionState(Ground(ENGINE))
    made = Transaction(0, state, 0, at(1), behind=False, contexts=contexts or Contexts())
    if held:
        made.judge(CustodyInput(fact(Booked, 0), EPISODE))
    state.book.put(detainer(), 0, 0)
    return made


def conflicts(made: Transaction) -> list[OutRecord]:
    return [record for record in made.records() if record.topic == CONFLICTS_TOPIC]


@pytest.mark.parametrize("traceparent", [TRACE, None])
def test_a_conflict_carries_the_trace_of_the_event_that_led_to_it(traceparent: str | None) -> None:
    made = transaction()
    made.judge(booked(traceparent))
    (conflict,) = conflicts(made)
    assert traceparent_of(conflict.headers) == traceparent


@pytest.mark.parametrize("traceparent", [TRACE, None])
def test_or_of_the_detainer(traceparent: str | None) -> None:
    contexts, lodged = Contexts(), detainer()
    contexts.note("detainers", lodged.detainer_id, kafka("detainers.v1", lodged.detainer_id, lodged, traceparent))
    made = transaction(contexts, held=True)
    made.judge(DetainerInput(lodged.detainer_id))
    (conflict,) = conflicts(made)
    assert traceparent_of(conflict.headers) == traceparent


class Noted(Span):
    def __init__(self, name: str, parent: str | None, attributes: dict[str, Any]) -> None:
        super().__init__(f"00-{9:032x}-{len(name):016x}-01")
        self.name, self.parent, self.attributes = name, parent, attributes
        self.ends: list[str | None] = []

    def end(self, error: str | None = None) -> None:
        self.ends.append(error)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """Recording is on; what is begun."""
    found: list[Noted] = []

    def begin(name: str, kind: Kind, parent: str | None, attributes: Any, *, started_ns: int | None) -> Noted:
        assert kind is Kind.CONSUMER
        assert started_ns is not None
        found.append(Noted(name, parent, attributes))
        return found[-1]

    monkeypatch.setattr(tracing, "is_on", lambda: True)
    monkeypatch.setattr(tracing, "begin", begin)
    return found


def test_the_span_lasts_until_the_commit_and_the_conflict_is_its_child(begun: list[Noted]) -> None:
    made = transaction()
    made.judge(booked(TRACE))
    (conflict,) = conflicts(made)
    (span,) = begun
    assert (span.name, span.parent) == ("process custody.events.v1", TRACE)
    assert traceparent_of(conflict.headers) == span.traceparent
    assert span.attributes["messaging.kafka.offset"] == 7
    assert span.attributes["sallyport.episode_id"] == EPISODE
    assert span.ends == []
    made.committed(0.01, at(1))
    assert span.ends == [None]


def test_a_transaction_that_failed_says_so(begun: list[Noted]) -> None:
    made = transaction()
    made.judge(booked(TRACE))
    made.records()
    made.failed("fenced")
    assert begun[0].ends == ["fenced"]


def test_what_led_to_nothing_has_no_span(begun: list[Noted]) -> None:
    made = transaction(held=True)
    made.judge(Tick())
    made.committed(0.01, at(1))
    assert begun == []


def test_contexts_keep_the_newest_and_forget_the_oldest() -> None:
    contexts = Contexts(kept=2)
    for number in range(3):
        contexts.note(
            "detainers", f"d{number}", kafka("detainers.v1", f"d{number}", {}, f"00-{number + 1:032x}-{1:016x}-01")
        )
    assert contexts.of(DetainerInput("d0")) is None
    assert contexts.of(DetainerInput("d2")) == f"00-{3:032x}-{1:016x}-01"
    contexts.note("detainers", "d2", kafka("detainers.v1", "d2", {}, None))
    assert contexts.of(DetainerInput("d2")) is None, "the newest version has none"
    contexts.note("decisions", ("d1", "e1"), kafka("review.decisions.v1", "r", {}, TRACE))
    assert contexts.of(DecisionInput("d1", "e1")) == TRACE
    assert contexts.of(Tick()) is None
