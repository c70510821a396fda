"""What a lane waits for before it judges: that its instance has read as far as the partition's last owner had."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiokafka import ConsumerRecord

from services.matcher.adapters.clock import SystemClock
from services.matcher.adapters.membership import Membership
from services.matcher.adapters.ownership import Ownership
from services.matcher.adapters.writer import KafkaStateLog
from services.matcher.domain.ground import Ground
from services.matcher.settings import MatcherSettings
from tests.unit.matcher.people import detainer
from tests.unit.matcher.world import ENGINE


@pytest.fixture
def ownership() -> Ownership:
    async def ready() -> None:
        pass

    settings = MatcherSettings()
    return Ownership(
        settings,
        Ground(ENGINE),
        store=KafkaStateLog(settings, "unused"),
        clock=SystemClock(60),
        consumer=lambda: None,
        membership=Membership(settings, consumer=lambda: None, fatal=lambda _: pytest.fail("no id was given")),
        spawn=lambda work, name: asyncio.create_task(work, name=name),
        ground_ready=ready,
        on_unreadable=lambda *_: pytest.fail("all of it can be read"),
    )


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    value = msgspec.json.encode(detainer(reference=f"D-{offset}"))
    return ConsumerRecord("detainers.v1", 3, offset, 0, 0, b"x", value, None, 0, 0, ())


async def test_a_lane_waits_until_its_instance_has_read_what_the_last_owner_had(ownership: Ownership) -> None:
    detainers = next(whole for whole in ownership.wholes if whole.name == "detainers")
    waiting = asyncio.create_task(ownership._ground_reaches({"detainers": {"3": 2}}))
    for offset in range(2):
        await asyncio.wait({waiting}, timeout=0.01)
        assert not waiting.done()
        await ownership.broadcast(detainers, (record(offset),))
    await asyncio.wait_for(waiting, 10)


async def test_what_has_been_deleted_is_not_waited_for(ownership: Ownership) -> None:
    ownership.began("decisions", {3: 500})
    await asyncio.wait_for(ownership._ground_reaches({"decisions": {"3": 500}}), 10)


async def test_a_registry_that_is_shorter_than_it_was_is_not_waited_for(ownership: Ownership) -> None:
    """It may be made anew from its files (docs/operate/backup.md)."""
    await asyncio.wait_for(ownership._ground_reaches({"registry": {"0": 500}}), 10)
