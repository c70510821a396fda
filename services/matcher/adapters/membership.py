"""A static member of the consumer group (KIP-345): the id is the place, and whoever comes with it has the partitions.

aiokafka sends the id when it joins, and leaves it out of its heartbeats. So a member whose id another process has taken
hears "unknown member", not "fenced", joins anew with the same id, and throws the other out in turn, for ever. Hence the
group is asked who has the id before we join again (docs/adr/0022).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.matcher.settings import MatcherSettings
from services.platform.errors import InstanceIdTaken
from services.platform.kafka.clients import client_options
from services.platform.logs import get_logger

__all__ = ["Membership"]

log = get_logger(__name__)


class Membership:
    """Whether our place in the group is still ours. Without a `group_instance_id` nothing is ever asked.

    holder: who has the id now, by the group's account: a member id, or None for nobody. Raises KafkaError.
    fatal: gets InstanceIdTaken, and has to bring the process to an end.
    """

    def __init__(
        self,
        settings: MatcherSettings,
        *,
        consumer: Callable[[], AIOKafkaConsumer | None],
        fatal: Callable[[BaseException], None],
        holder: Callable[[MatcherSettings], str | None] | None = None,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._fatal = fatal
        self._holder = holder or _holder
        self._ours = ""
        self.is_taken = False

    def joined(self) -> None:
        """Note the member id that the group has just given us."""
        self._ours = self._member_id()

    async def before_joining(self) -> None:
        """Call before the consumer joins again: does not return if another process has our id, until it is cancelled.

        To join would throw the other out, and to raise would not stop aiokafka from joining.
        """
        if self._settings.group_instance_id and self._ours and not self._member_id() and not self.is_taken:
            await self.check()
        if self.is_taken:
            await asyncio.Event().wait()

    async def watch(self, is_joined: Callable[[], bool]) -> None:
        """Ask now and then while there are no partitions: refused at the join itself, aiokafka tries again for ever."""
        while not self.is_taken:
            await asyncio.sleep(self._settings.session_timeout_ms / 1000)
            if self._ours and not is_joined():
                await self.check()

    async def check(self) -> None:
        """Ask the group who has our id; a group that does not answer is asked again at the next occasion."""
        try:
            holder = await asyncio.to_thread(self._holder, self._settings)
        except (KafkaError, OSError) as error:
            log.warning("group_not_described", error=type(error).__name__)
            return
        if holder is not None and holder not in (self._ours, self._member_id()):
            self.is_taken = True
            self._fatal(
                InstanceIdTaken(
                    f"another process joined {self._settings.group_id} as {self._settings.group_instance_id}: "
                    "SALLYPORT_GROUP_INSTANCE_ID has to be another one for each instance"
                )
            )

    def _member_id(self) -> str:
        """aiokafka's own note, which it does not show: empty once the group has said that it does not know us."""
        consumer = self._consumer()
        coordinator = getattr(consumer, "_coordinator", None)
        return str(getattr(coordinator, "member_id", "") or "")


def _holder(settings: MatcherSettings) -> str | None:
    # A thread that waits for brokers, for 30 s by default, would hold up the end of the process.
    admin = KafkaAdminClient(**client_options(settings), bootstrap_timeout_ms=settings.kafka_request_timeout_ms)
    try:
        group: dict[str, Any] = admin.describe_groups([settings.group_id])[settings.group_id]
    finally:
        admin.close()
    for member in group["members"]:
        if member["group_instance_id"] == settings.group_instance_id:
            return str(member["member_id"])
    return None
