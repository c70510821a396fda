"""`sallyport breaker …` and `sallyport feeds list` on a real Kafka: trips are written as the matcher writes them."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from contracts.catalog import load_schema
from contracts.cloudevents import Attributes, decode_headers, encode_headers, rfc3339
from contracts.ids import breaker_id
from contracts.types.feed import Breaker, BreakerState, FeedState, FeedStatus
from deploy.demo.processes import NotReady, ProcessGroup
from deploy.devstack.stack import StackInfo
from services.platform.errors import BrokerUnavailable, ConfigurationError, ContractViolation, Fenced
from services.platform.kafka.clients import make_producer
from services.platform.operator import breaker, feeds
from services.platform.operator.reading import read_to_end
from services.platform.settings import PlatformSettings
from tests.integration.ingest.support import Topic
from tests.integration.platform.support import create_topic, produce, settings_for

JAIL = "CTTEST099"
TRIPPED_AT = datetime(2023, 2, 1, 9, 0, 4, tzinfo=UTC)


def trip(facility: str = JAIL, hours: float = 0, **changed: Any) -> Breaker:
    tripped_at = TRIPPED_AT + timedelta(hours=hours)
    made = Breaker(
        breaker_id=breaker_id(facility, rfc3339(tripped_at), 0),
        facility=facility,
        state=BreakerState.TRIPPED,
        since=tripped_at - timedelta(minutes=30),
        tripped_at=tripped_at,
        releases=212,
        population=840,
        window_s=3600.0,
    )
    return msgspec.structs.replace(made, **changed)


class Operator:
    """The commands, on topics that only this test has, and what is on them."""

    def __init__(self, stack: StackInfo, suffix: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.settings = settings_for(stack.kafka_bootstrap_servers)
        self.breakers, self.feeds = f"breakers.{suffix}", f"feeds.{suffix}"
        self._bootstrap, self._capsys = stack.kafka_bootstrap_servers, capsys
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.kafka_bootstrap_servers)
        patch.setenv("SALLYPORT_ALLOW_PLAINTEXT", "true")
        patch.setenv("COLUMNS", "160")
        patch.setattr(breaker, "BREAKERS_TOPIC", self.breakers)
        patch.setattr(breaker, "TRANSACTIONAL_ID", f"operator.{suffix}")
        patch.setattr(feeds, "FEEDS_TOPIC", self.feeds)
        for topic in (self.breakers, self.feeds):
            asyncio.run(create_topic(self.settings, topic))

    def trips(self, *trips: Breaker) -> None:
        asyncio.run(_write_as_matcher(self.settings, self.breakers, trips))

    def records(self) -> list[Any]:
        return Topic(self._bootstrap, self.breakers).records()

    def decisions(self) -> list[Breaker]:
        found = [msgspec.json.decode(record.value, type=Breaker) for record in self.records() if record.value]
        return [b for b in found if b.state is not BreakerState.TRIPPED]

    def said(self) -> str:
        return self._capsys.readouterr().out


async def _write_as_matcher(settings: PlatformSettings, topic: str, trips: tuple[Breaker, ...]) -> None:
    """In a transaction, so that the topic ends in a marker that is no record."""
    producer = make_producer(settings, transactional_id=f"matcher.{topic}")
    await producer.start()
    try:
        async with producer.transaction():
            for one in trips:
                attributes = Attributes(
                    one.breaker_id, "sallyport/matcher", "sallyport.breaker.tripped.v1", one.tripped_at, one.tripped_at
                )
                await producer.send_and_wait(
                    topic,
                    key=one.breaker_id.encode(),
                    value=msgspec.json.encode(one),
                    headers=encode_headers(attributes),
                )
    finally:
        await producer.stop()


@pytest.fixture
def operator(
    stack: StackInfo, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Operator:
    return Operator(stack, suffix, monkeypatch, capsys)


@pytest.mark.parametrize(("command", "state"), [(breaker.release, "released"), (breaker.discard, "discarded")])
def test_a_decision_is_on_the_topic_as_the_contract_wants_it(operator: Operator, command: Any, state: str) -> None:
    tripped = trip()
    operator.trips(tripped, trip("MATEST099"))
    before = datetime.now(UTC)

    assert command(JAIL, by=" op.sample ", reason="telephoned with the facility") == 0

    assert f"{JAIL}: {tripped.breaker_id} {state}" in operator.said()
    (decided,) = operator.decisions()
    assert decided.decided_at is not None
    assert before <= decided.decided_at <= datetime.now(UTC)
    assert decided == msgspec.structs.replace(
        tripped,
        state=BreakerState(state),
        decided_at=decided.decided_at,
        decided_by="op.sample",
        reason="telephoned with the facility",
    )
    record = operator.records()[-1]
    assert record.key == tripped.breaker_id.encode()
    Draft202012Validator(load_schema("breaker.v1.json")).validate(msgspec.json.decode(record.value))
    attributes = decode_headers(record.headers)
    assert (attributes.source, attributes.type) == ("sallyport/operator", f"sallyport.breaker.{state}.v1")
    assert attributes.time == decided.decided_at
    assert not any(b"op.sample" in value or b"telephoned" in value for _, value in record.headers)


def test_the_newest_one_that_waits_is_decided_first(operator: Operator) -> None:
    """Whatever order they were written in; each decision is about one, and says how many are left."""
    operator.trips(trip(hours=5), trip(hours=9), trip(hours=2), trip("MATEST099", hours=20))

    breaker.release(JAIL, by="op.sample", reason="true")
    assert "2 more of this facility wait" in operator.said()
    breaker.discard(JAIL, by="op.sample", reason="a restored backup")
    assert "1 more of this facility wait" in operator.said()
    breaker.release(JAIL, by="op.sample", reason="true")
    assert "wait" not in operator.said()

    assert [(b.breaker_id, str(b.state)) for b in operator.decisions()] == [
        (trip(hours=9).breaker_id, "released"),
        (trip(hours=5).breaker_id, "discarded"),
        (trip(hours=2).breaker_id, "released"),
    ]


def test_what_there_is_no_breaker_for_cannot_be_decided(operator: Operator) -> None:
    operator.trips(trip("MATEST099"))
    with pytest.raises(breaker.BreakerUnknown, match=JAIL) as unknown:
        breaker.release(JAIL, by="op.sample", reason="true")
    assert unknown.value.code == "breaker_unknown"

    breaker.discard("MATEST099", by="op.sample", reason="a restored backup")
    with pytest.raises(breaker.BreakerDecided, match=r"discarded by op\.sample at 20") as decided:
        breaker.release("MATEST099", by="op.other", reason="true")
    assert decided.value.code == "breaker_decided"
    assert len(operator.decisions()) == 1


def test_a_trip_that_is_written_again_does_not_undo_a_decision(operator: Operator) -> None:
    operator.trips(trip())
    breaker.release(JAIL, by="op.sample", reason="true")
    operator.trips(trip())  # by an instance that had not heard of the decision
    with pytest.raises(breaker.BreakerDecided):
        breaker.discard(JAIL, by="op.sample", reason="never was")
    assert "no breaker waits" in operator.said() + _listed(operator)


def _listed(operator: Operator, *, all_: bool = False) -> str:
    operator.said()
    assert breaker.list_(all_=all_) == 0
    return operator.said()


@pytest.mark.parametrize(
    ("by", "reason", "code"),
    [
        ("  ", "true", "missing_field"),
        ("op.sample", "\n", "missing_field"),
        ("x" * 201, "true", "invalid_value"),
        ("op.sample", "x" * 501, "invalid_value"),
    ],
)
def test_a_decision_says_who_and_why(operator: Operator, by: str, reason: str, code: str) -> None:
    operator.trips(trip())
    with pytest.raises(ContractViolation) as refused:
        breaker.release(JAIL, by=by, reason=reason)
    assert refused.value.reason == code
    assert operator.decisions() == []


def test_a_clock_that_is_behind_the_trip_decides_nothing(operator: Operator) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    operator.trips(trip(tripped_at=tomorrow))
    with pytest.raises(breaker.ClockBehind) as behind:
        breaker.discard(JAIL, by="op.sample", reason="never was")
    assert behind.value.code == "clock_behind"
    assert operator.decisions() == []


def test_of_two_operators_at_the_same_time_one_decides(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looks and decides after the first has looked, and before the first has written."""
    operator.trips(trip())

    async def overtaken(settings: PlatformSettings, topic: str) -> Any:
        found = await read_to_end(settings, topic)
        monkeypatch.setattr(breaker, "read_to_end", read_to_end)
        other = threading.Thread(target=breaker.discard, args=(JAIL,), kwargs={"by": "op.second", "reason": "never"})
        other.start()
        await asyncio.to_thread(other.join, 60)
        assert not other.is_alive()
        return found

    monkeypatch.setattr(breaker, "read_to_end", overtaken)
    with pytest.raises(Fenced, match="another operator"):
        breaker.release(JAIL, by="op.first", reason="true")

    assert [(b.decided_by, str(b.state)) for b in operator.decisions()] == [("op.second", "discarded")]


def test_the_list_shows_what_waits_and_with_all_what_was_decided(operator: Operator) -> None:
    assert "no breaker waits" in _listed(operator)
    assert "no breaker has tripped yet" in _listed(operator, all_=True)
    operator.trips(trip("MATEST099"), trip(hours=3))
    breaker.release("MATEST099", by="op.sample", reason="court order [bold]17[/bold]")

    waiting = _listed(operator)
    assert "MATEST099" not in waiting
    (row,) = [line for line in waiting.splitlines() if JAIL in line]
    for cell in ("tripped", "2023-02-01 12:00:04Z", "2023-02-01 11:30:04Z", "212", "840", "25%", "1 h"):
        assert f" {cell} " in row
    everything = _listed(operator, all_=True)
    assert "MATEST099" in everything and JAIL in everything and "op.sample" in everything
    assert "[bold]" in everything  # what an operator typed is text


def test_a_record_that_is_no_breaker_stops_nobody(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(produce(operator.settings, operator.breakers, [(b"brk_x", b"{not json"), (b"brk_gone", None)]))
    operator.trips(trip())

    listed = _listed(operator)
    assert "record_unreadable" in listed and f"{operator.breakers}/0/0" in listed and JAIL in listed
    breaker.release(JAIL, by="op.sample", reason="true")
    assert "record_unreadable" in capsys.readouterr().err
    decided = msgspec.json.decode(operator.records()[-1].value, type=Breaker)
    assert (decided.facility, decided.state) == (JAIL, BreakerState.RELEASED)


def test_feeds_are_listed_the_silent_first_and_each_once(operator: Operator) -> None:
    def status(facility: str, state: FeedState, gap_s: float = 640.5) -> tuple[bytes, bytes]:
        heard = datetime.now(UTC) - timedelta(hours=3, minutes=20)
        made = FeedStatus(facility=facility, state=state, last_heard_at=heard, usual_gap_s=gap_s, at=TRIPPED_AT)
        return facility.encode(), msgspec.json.encode(made)

    assert feeds.list_() == 0
    assert "no facility has been silent for too long yet" in operator.said()
    records = [
        status("AATEST099", FeedState.HEARD),
        status(JAIL, FeedState.HEARD),
        status(JAIL, FeedState.SILENT, 93_600),
        status("ZZTEST099", FeedState.SILENT),
        status("ZZTEST099", FeedState.HEARD, 20),
        status("GONE00099", FeedState.HEARD),
        (b"GONE00099", None),
    ]
    asyncio.run(produce(operator.settings, operator.feeds, records))

    assert feeds.list_() == 0
    rows = [line for line in operator.said().splitlines() if "TEST099" in line or "GONE" in line]
    assert [line.split()[1] for line in rows] == [JAIL, "AATEST099", "ZZTEST099"]
    assert (
        "silent" in rows[0] and "3 h 20 min" in rows[0] and "1 d 2 h" in rows[0] and "2023-02-01 09:00:04Z" in rows[0]
    )
    assert "heard" in rows[1] and "10 min" in rows[1]
    assert "heard" in rows[2] and "20 s" in rows[2]


def test_without_the_topic_or_the_broker_it_says_so(
    operator: Operator, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "FEEDS_TOPIC", f"nowhere.{suffix}")
    with pytest.raises(ConfigurationError, match="topics apply"):
        feeds.list_()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SALLYPORT_KAFKA_REQUEST_TIMEOUT_MS", "1000")
    with pytest.raises(BrokerUnavailable):
        feeds.list_()
    with pytest.raises(BrokerUnavailable):
        breaker.release(JAIL, by="op.sample", reason="true")


def test_on_the_command_line(topics: StackInfo, tmp_path: Path) -> None:
    """As an operator types it, on the declared topics; an error is one line with its code, and exit status 2."""
    settings = settings_for(topics.kafka_bootstrap_servers)
    asyncio.run(_write_as_matcher(settings, "breakers.v1", (trip(),)))
    environment = {**topics.environ(), "COLUMNS": "160"}

    with ProcessGroup(tmp_path) as group:
        assert JAIL in group.run(["breaker", "list"], environment)
        decision = ["--by", "op.sample", "--reason", "true"]
        assert "released" in group.run(["breaker", "release", JAIL, *decision], environment)
        assert "op.sample" in group.run(["breaker", "list", "--all"], environment)
        with pytest.raises(NotReady, match=r"status 2: breaker_decided: CTTEST099"):
            group.run(["breaker", "discard", JAIL, *decision], environment)
        with pytest.raises(NotReady, match=r"status 2: breaker_unknown"):
            group.run(["breaker", "discard", "MATEST099", *decision], environment)
        assert "no facility" in group.run(["feeds", "list"], environment)
