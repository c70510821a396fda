"""What a service writes to Kafka goes through an outlet, which declares its topics: so the AsyncAPI document of the
running app knows them, and a record for a topic that was not declared is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from services.platform.errors import BrokerUnavailable
from services.platform.kafka.clients import make_producer
from services.platform.kafka.doors import explained
from services.platform.kafka.lanes import InDoubt, Lanes, NotTaken
from services.platform.kafka.records import OutRecord
from services.platform.logs import get_logger
from services.platform.settings import PlatformSettings

__all__ = ["InDoubt", "NotTaken", "OutRecord", "Outlet", "declare", "declared_reads"]

log = get_logger(__name__)
_RETRY_S: Final = 1.0


def declare(broker: KafkaBroker, topics: Iterable[str], *, reads: Iterable[str] = ()) -> frozenset[str]:
    """Make the topics part of what `broker` says it publishes to; returns them.

    reads: topics that the service reads past the broker, with a consumer of its own (a changelog being restored).
    """
    names = frozenset(topics)
    for topic in sorted(names):
        broker.publisher(topic, title=f"{topic}.out")
    _READS.setdefault(broker, set()).update(reads)
    return names


def declared_reads(broker: KafkaBroker) -> frozenset[str]:
    """The `reads` of every `declare` on this broker."""
    return frozenset(_READS.get(broker, ()))


_READS: WeakKeyDictionary[KafkaBroker, set[str]] = WeakKeyDictionary()


class Outlet:
    """An idempotent producer for records that stand by themselves (no transaction); see `lanes`.

    linger_ms: how long a batch waits for company, in milliseconds. While one is on its way the next one gathers
        anyhow, so that 0 batches well under load.
    """

    def __init__(
        self, settings: PlatformSettings, broker: KafkaBroker, topics: Iterable[str], *, linger_ms: int = 0
    ) -> None:
        self._topics = declare(broker, topics)
        self._settings = settings
        self._lanes = Lanes(
            lambda: make_producer(settings, max_batch_size=256 * 1024),
            timeout_s=settings.kafka_request_timeout_ms / 1000,
            linger_s=linger_ms / 1000,
        )

    async def start(self) -> None:
        """Raises BrokerUnavailable when no broker answers, or which door is shut (`doors`)."""
        try:
            await self._lanes.start()
        except (KafkaError, OSError) as error:
            raise await explained(self._settings, error, self._settings.kafka_bootstrap_servers) from error

    async def start_in_time(self) -> None:
        """`start`, again and again until it succeeds: a broker that is away when a service starts is waited for, since
        a restart would not bring it."""
        while True:
            try:
                return await self.start()
            except BrokerUnavailable as error:
                log.warning("broker_away", error=str(error), wait_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)

    async def stop(self, deadline_s: float = 5.0) -> None:
        """Flush within `deadline_s` seconds, and close."""
        await self._lanes.stop(deadline_s)

    def problem(self) -> str | None:
        """Why a record should not be handed over now, in one line; None when all is well. For Health.ready, and for
        an edge that had rather refuse a request than let it wait for a broker that is away."""
        return self._lanes.problem()

    def client(self) -> AIOKafkaClient | None:
        """The connection to the brokers, for `Replication`; None while there is none."""
        return self._lanes.client()

    async def send(self, records: Sequence[OutRecord]) -> list[BaseException | None]:
        """Write `records`; return, for each, None once all in-sync replicas have it, or why it is not known to be.

        NotTaken (`lanes`): it is certain that it was not written, and will not be. Anything else: in doubt.
        """
        for record in records:
            if record.topic not in self._topics:
                raise AssertionError(f"{record.topic} is not declared by this outlet")
        return await self._lanes.send(records)
