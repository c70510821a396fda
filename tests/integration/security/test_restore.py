"""A matcher's state is read as soon under TLS as in plain text."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from contracts.catalog import load_topics
from services.matcher.adapters.writer import KafkaStateLog
from services.platform.loop import ServiceLoop
from tests.support.locked import Locked

pytestmark = pytest.mark.timeout(240)


def test_no_partition_waits_for_a_brokers_farewell(provisioned: Locked) -> None:
    """A broker does not hear the close_notify that comes in one packet with a last fetch. uvloop alone waits half a
    minute for the answer, in about every fourth of these readings."""
    log = KafkaStateLog(provisioned.settings("sallyport-matcher"), "sallyport-matcher")
    partitions = range(load_topics()["custody.state.v1"].partitions)

    async def restore() -> None:
        for _ in range(3):
            await asyncio.wait_for(asyncio.gather(*(log.read(partition, 0) for partition in partitions)), 25)

    uvloop.run(restore(), loop_factory=ServiceLoop)
