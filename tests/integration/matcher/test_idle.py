"""A matcher that has judged everything is idle, and says so, however the events were written.

A roster is written in one Kafka transaction, whose commit marker takes an offset of its own: no record, so nothing
that could be judged. It must not look like a backlog, or /livez turns red for no reason and a restart would not help.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import episode_id
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.demo.world.generate import generate
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from tests.integration.support.metrics import total

STALL_S = 1.0
_LAG = re.compile(
    r'^sallyport_consumer_lag_records\{partition="\d+",topic="custody\.events\.v1"\} (\S+)$', re.MULTILINE
)
_INPUTS = 'sallyport_matcher_inputs_total{kind="custody"}'


@pytest.fixture
def matcher(topics: StackInfo, tmp_path: Path) -> Iterator[ServiceProcess]:
    settings = {"SALLYPORT_STALL_AFTER_S": str(STALL_S), "SALLYPORT_PROBE_INTERVAL_S": "0.1"}
    with ProcessGroup(tmp_path) as group:
        service = group.service("matcher", {**topics.environ(), **settings})
        service.start()
        service.wait_ready()
        yield service


def lags(matcher: ServiceProcess) -> list[float]:
    return [float(value) for value in _LAG.findall(matcher.get("/metrics")[1])]


async def write_in_a_transaction(bootstrap_servers: str, events: int) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id="test-roster")
    await producer.start()
    sent = 0
    try:
        async with producer.transaction():
            for post in generate(3, events).stream:
                if post.event_id is None:
                    continue
                body = post.body
                key = episode_id(body.facility, body.booking_number).encode()  # type: ignore[union-attr]
                attributes = Attributes(post.event_id, post.source, "sallyport.custody.v1", post.at, datetime.now(UTC))
                value = msgspec.json.encode(body)
                await producer.send("custody.events.v1", key=key, value=value, headers=encode_headers(attributes))
                sent += 1
    finally:
        await producer.stop()
    return sent


async def test_a_transaction_that_is_judged_leaves_no_lag(topics: StackInfo, matcher: ServiceProcess) -> None:
    sent = await write_in_a_transaction(topics.kafka_bootstrap_servers, 100)
    assert wait_until(lambda: total(matcher, _INPUTS) == sent, seconds=60)

    def idle() -> bool:
        found = lags(matcher)
        return len(found) == 12 and not any(found)

    assert wait_until(idle, seconds=60), lags(matcher)
    # It must hold beyond the time after which a consumer with a backlog is taken for stuck: so this is a time.
    assert not wait_until(lambda: matcher.get("/livez")[0] == 503, seconds=3 * STALL_S)
    assert idle(), lags(matcher)
