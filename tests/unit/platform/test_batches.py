"""The poll: an idle consumer adds nothing to the age of the record that comes next."""

from __future__ import annotations

import asyncio
from typing import Any

from services.platform.kafka.batches import Records, subscribe
from services.platform.kafka.clients import make_broker
from tests.support.plain import plain


class _Idle:
    """A consumer whose poll is over, and found nothing."""

    async def getmany(self, **_: Any) -> dict[Any, list[Any]]:
        return {}


async def test_a_poll_that_found_nothing_is_followed_by_the_next_at_once() -> None:
    async def handle(_: Records) -> None:
        raise AssertionError("nothing to handle")

    broker = make_broker(plain())
    subscriber = subscribe(broker, "any", handle, fatal=lambda _: None, group_id=None, poll_ms=60_000)
    poll: Any = subscriber.get_msg
    assert await asyncio.wait_for(poll(_Idle()), 30) == ()
