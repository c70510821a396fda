"""A static member joins again only where nobody else has its place in the group."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConnectionError

from services.matcher.adapters.membership import Membership
from services.matcher.settings import MatcherSettings
from services.platform.errors import InstanceIdTaken

ID = "matcher-0"


class Group:
    """Who has the id by the broker's account, and what our consumer believes its member id to be."""

    def __init__(self, group_instance_id: str = ID, session_timeout_ms: int = 1000) -> None:
        self.holder: str | None = "matcher-0-a"
        self.asked = 0
        self.away = False
        self.coordinator = SimpleNamespace(member_id="matcher-0-a")
        self.errors: list[BaseException] = []
        settings = MatcherSettings(group_instance_id=group_instance_id, session_timeout_ms=session_timeout_ms)
        consumer = SimpleNamespace(_coordinator=self.coordinator)
        self.membership = Membership(
            settings,
            consumer=lambda: consumer,
            fatal=self.errors.append,
            holder=self._describe,
        )
        self.membership.joined()

    def _describe(self, settings: MatcherSettings) -> str | None:
        assert settings.group_instance_id == ID
        self.asked += 1
        if self.away:
            raise KafkaConnectionError("nobody there")
        return self.holder

    async def joins_again(self) -> bool:
        """Whether the consumer gets to join, or is held back for good."""
        task = asyncio.create_task(self.membership.before_joining())
        done, _ = await asyncio.wait({task}, timeout=30 if not self.errors else 0.1)
        task.cancel()
        return bool(done)


async def test_a_rebalance_in_which_we_are_still_known_asks_nothing() -> None:
    group = Group()
    assert await group.joins_again()
    assert group.asked == 0


async def test_after_a_session_that_ran_out_we_join_again() -> None:
    group = Group()
    group.coordinator.member_id, group.holder = "", None
    assert await group.joins_again()
    assert group.asked == 1
    assert group.errors == []


async def test_where_another_has_our_id_we_end_and_do_not_throw_it_out() -> None:
    group = Group()
    group.coordinator.member_id, group.holder = "", "matcher-0-b"
    held = asyncio.create_task(group.membership.before_joining())
    while not group.errors:
        await asyncio.wait({held}, timeout=0.01)
        assert not held.done()
    assert not await group.joins_again()
    held.cancel()
    (error,) = group.errors
    assert isinstance(error, InstanceIdTaken)
    assert error.code == "instance_id_taken"
    assert "SALLYPORT_GROUP_INSTANCE_ID" in str(error)


async def test_a_group_that_cannot_be_asked_is_no_ground_to_end() -> None:
    group = Group()
    group.coordinator.member_id, group.away = "", True
    assert await group.joins_again()
    assert group.errors == []


async def test_a_dynamic_member_is_never_held_back() -> None:
    group = Group(group_instance_id="")
    group.coordinator.member_id, group.holder = "", "matcher-0-b"
    assert await group.joins_again()
    assert group.asked == 0


async def test_refused_at_the_join_itself_the_watch_finds_out() -> None:
    group = Group()
    group.holder = "matcher-0-b"
    await asyncio.wait_for(group.membership.watch(lambda: False), 30)
    assert isinstance(group.errors[0], InstanceIdTaken)


@pytest.mark.parametrize("name", ["with space", "a/b", "x" * 201])
def test_an_id_that_kafka_would_not_take_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="group_instance_id"):
        MatcherSettings(group_instance_id=name)
