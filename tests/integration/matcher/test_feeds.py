"""A facility that falls silent, on a real Kafka: two matchers, one of them its steward, and `sallyport feeds list`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import episode_id
from contracts.types.custody import Booked
from contracts.types.feed import FeedState, FeedStatus
from deploy.demo.observe import read_whole
from deploy.demo.processes import ProcessGroup
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from services.matcher.domain.feeds.tally import Tally
from tests.support.kafka import fresh_topics
from tests.unit.matcher.people import FACILITY, person

NOW = datetime.now(UTC).replace(microsecond=0)
HOURLY = [NOW - timedelta(hours=hours) for hours in range(14, 5, -1)]
"""Nine messages, an hour apart; the newest six hours ago: twice what three times an hour allows."""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as processes:
        yield processes


def _heard(bootstrap: str) -> datetime | None:
    """When the facility was last heard of, by what the partitions count."""
    tallies = [msgspec.json.decode(r.value, type=Tally) for r in read_whole(bootstrap, ["feed.tallies.v1"])]
    return max((tally.heard_at for tally in tallies), default=None)


def _statuses(bootstrap: str) -> list[FeedStatus]:
    return [msgspec.json.decode(r.value, type=FeedStatus) for r in read_whole(bootstrap, ["feeds.v1"])]


async def _book(producer: AIOKafkaProducer, number: int, accepted_at: datetime) -> None:
    event = Booked(facility=FACILITY, booking_number=f"B-{number}", occurred_at=accepted_at, person=person())
    key = episode_id(FACILITY, event.booking_number).encode()
    attributes = Attributes(f"e{number}", "hartford-jms", "sallyport.custody.booked.v1", accepted_at, accepted_at)
    await producer.send_and_wait(
        "custody.events.v1", key=key, value=msgspec.json.encode(event), headers=encode_headers(attributes)
    )


@pytest.mark.timeout(400)
async def test_a_facility_that_falls_silent_and_is_heard_again(stack: StackInfo, group: ProcessGroup) -> None:
    bootstrap = stack.kafka_bootstrap_servers
    fresh_topics(bootstrap)
    # What the steward missed while it was away has two seconds to arrive.
    settings = {**stack.environ(), "SALLYPORT_SETTLE_MINUTES": "0.033", "SALLYPORT_SESSION_TIMEOUT_MS": "6000"}
    matchers = [group.service("matcher", settings, name=name) for name in ("first", "second")]
    for matcher in matchers:
        matcher.start()
    for matcher in matchers:
        matcher.wait_ready()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number, at in enumerate(HOURLY):
            await _book(producer, number, at)
            # One by one: what comes in at once is one message to a rhythm.
            assert wait_until(lambda at=at: _heard(bootstrap) == at.replace(second=0), seconds=60), at  # type: ignore[misc]
        assert wait_until(lambda: len(_statuses(bootstrap)) == 1, seconds=60)
        (silent,) = _statuses(bootstrap)
        assert (silent.facility, silent.state, silent.usual_gap_s) == (FACILITY, FeedState.SILENT, 3600)
        assert silent.last_heard_at == HOURLY[-1].replace(second=0)
        assert "silent" in group.run(["feeds", "list"], stack.environ())
        logs = [matcher.log_text() for matcher in matchers]
        assert sum("feed_silent" in text for text in logs) == 1, "one judge a facility"

        # The one that said so dies: the other one knows, and says when it is heard again.
        judge = next(matcher for matcher, text in zip(matchers, logs, strict=True) if "feed_silent" in text)
        judge.kill()
        await _book(producer, len(HOURLY), datetime.now(UTC))
        assert wait_until(lambda: len(_statuses(bootstrap)) == 2, seconds=60)
        assert [status.state for status in _statuses(bootstrap)] == [FeedState.SILENT, FeedState.HEARD]
    finally:
        await producer.stop()
