"""A transaction that Kafka ends while it is being written: the writer says why, and the process lives."""

from __future__ import annotations

import pytest

from contracts.catalog import load_access, load_topics
from services.matcher.adapters.changelog import STATE_TOPIC
from services.matcher.adapters.writer import PartitionWriter
from services.platform.errors import Fenced, KafkaNotAuthorised
from services.platform.kafka.acls import bindings_of
from services.platform.kafka.outlets import OutRecord
from tests.support.locked import Locked

pytestmark = pytest.mark.timeout(240)
# A writer that is new asks where a topic is before it sends the first record of it: by then the first has failed.
RECORDS = [OutRecord(topic, b"key", b"{}", (), 0) for topic in (STATE_TOPIC, "conflicts.v1", "reviews.v1")]


def writer(locked: Locked) -> PartitionWriter:
    return PartitionWriter(locked.settings("sallyport-matcher"), "sallyport-matcher-0")


async def test_a_right_that_is_taken_away_meanwhile(provisioned: Locked) -> None:
    every = bindings_of("matcher", "User:sallyport-matcher", load_topics(), load_access())
    one = writer(provisioned)
    await one.start()
    try:
        provisioned.grant(every - {b for b in every if b.kind == "transactional_id"})
        with pytest.raises(KafkaNotAuthorised):
            await one.publish(RECORDS)
    finally:
        provisioned.grant(every)
        await one.stop()


async def test_another_that_takes_the_partition_meanwhile(provisioned: Locked) -> None:
    one, other = writer(provisioned), writer(provisioned)
    await one.start()
    try:
        await other.start()
        with pytest.raises(Fenced):
            await one.publish(RECORDS)
    finally:
        await one.stop()
        await other.stop()
