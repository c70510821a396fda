"""What a service writes to Kafka goes through an outlet, which declares its topics: so the AsyncAPI document of the
running app knows them, and a record for a topic that was not declared is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from msgspec import Struct

from services.platform.errors import BrokerUnavailable
from services.platform.kafka.clients import make_producer
from services.platform.settings import PlatformSettings

__all__ = ["OutRecord", "Outlet", "declare", "declared_reads"]


class OutRecord(Struct, frozen=True):
    """One record to be written. partition None: by the hash of the key."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


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
    """An idempotent producer for records that stand by themselves (no transaction)."""

    def __init__(
        self, settings: PlatformSettings, broker: KafkaBroker, topics: Iterable[str], *, linger_ms: int = 0
    ) -> None:
        self._topics = declare(broker, topics)
        self._settings = settings
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Raises BrokerUnavailable when no broker answers."""
        producer = make_producer(self._settings, linger_ms=self._linger_ms, max_batch_size=256 * 1024)
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise BrokerUnavailable(f"no broker at {self._settings.kafka_bootstrap_servers}") from error
        self._producer = producer

    async def stop(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(self, records: Sequence[OutRecord]) -> list[BaseException | None]:
        """Write `records`; return, for each, None once all in-sync replicas have it, or why it is not known to be.

        Raises:
            BrokerUnavailable: not started, or none of the records could even be handed over.
        """
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("the producer is not running")
        timeout = self._settings.kafka_request_timeout_ms / 1000
        waiting: list[asyncio.Future[object]] = []
        failed: BaseException | None = None
        for record in records:
            if record.topic not in self._topics:
                raise AssertionError(f"{record.topic} is not declared by this outlet")
            try:
                waiting.append(
                    await asyncio.wait_for(
                        producer.send(
                            record.topic,
                            key=record.key,
                            value=record.value,
                            headers=list(record.headers),
                            partition=record.partition,
                        ),
                        timeout,
                    )
                )
            except (KafkaError, TimeoutError) as error:
                failed = error
                break
        if not waiting and failed is not None:
            raise BrokerUnavailable("the broker does not take records") from failed
        await asyncio.wait(waiting, timeout=timeout) if waiting else None
        outcome: list[BaseException | None] = []
        for future in waiting:
            if not future.done():
                outcome.append(TimeoutError("no acknowledgement in time"))
            else:
                outcome.append(future.exception())
        outcome.extend([failed or TimeoutError("not sent")] * (len(records) - len(waiting)))
        return outcome
