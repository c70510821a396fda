"""Writes a stream to Kafka as ingest would: several connections, each booking on one of them, in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import episode_id
from contracts.types.detainer import Detainer
from deploy.demo.world.places import PLACES
from tests.integration.matcher.lives import Booking, Stream
from tests.integration.matcher.predict import Arrival

__all__ = ["Feed", "send_detainers", "send_places"]

_CONNECTIONS = 4
_PATIENCE_S = 600.0
_CLOSE_S = 30.0


async def send_detainers(bootstrap: str, detainers: Iterable[Detainer]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for detainer in detainers:
            await producer.send("detainers.v1", key=detainer.detainer_id.encode(), value=msgspec.json.encode(detainer))


async def send_places(bootstrap: str) -> None:
    """The jails, so that the matcher knows their time zones."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for place in PLACES:
            record = place.record()
            await producer.send("registry.v1", key=f"facility/{record.id}".encode(), value=msgspec.json.encode(record))


class Feed:
    """Sends the stream, `rate` events a second at most, as far as it is allowed to (from another thread).

    poison: bytes that are no custody event, sent in between, each once.
    """

    def __init__(self, bootstrap: str, stream: Stream, rate: float, poison: Sequence[bytes]) -> None:
        self._bootstrap = bootstrap
        self._stream = stream
        self._rate = rate
        self._poison = poison
        self._gate = threading.Condition()
        self._limit = 0.0
        self._given_up = False
        self._sent = 0

    @property
    def share(self) -> float:
        """How much of the stream is sent."""
        return self._sent / len(self._stream.events)

    def allow(self, share: float) -> None:
        """Go on until so much of the stream is sent."""
        with self._gate:
            self._limit = share
            self._gate.notify_all()

    def give_up(self) -> None:
        """Send no more: what it is sent for has failed."""
        with self._gate:
            self._given_up = True
            self._gate.notify_all()

    def _await_leave(self) -> bool:
        with self._gate:
            self._gate.wait_for(lambda: self._given_up or self.share < self._limit, _PATIENCE_S)
            return not self._given_up and self.share < self._limit

    async def run(self) -> None:
        events = self._stream.events
        every = max(1, len(events) // (len(self._poison) + 1))
        poison = iter(self._poison)
        producers = [
            # aiokafka gives up what is older than a request may be: an outage of the broker is no end of the feed.
            AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                enable_idempotence=True,
                acks="all",
                request_timeout_ms=int(1000 * _PATIENCE_S),
                retry_backoff_ms=500,
            )
            for _ in range(_CONNECTIONS)
        ]
        for producer in producers:
            await producer.start()
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        acknowledged: list[asyncio.Future[RecordMetadata]] = []
        try:
            for count, (booking, arrival) in enumerate(events, 1):
                next_at = max(next_at + 1 / self._rate, loop.time() - 0.1)
                await asyncio.sleep(max(0.0, next_at - loop.time()))
                if self.share >= self._limit and not await asyncio.to_thread(self._await_leave):
                    raise TimeoutError("nobody has allowed more of the stream")
                producer = producers[int(booking.number[1:]) % _CONNECTIONS]
                acknowledged.append(await _send(producer, booking, arrival))
                if count % every == 0:
                    for raw in itertools.islice(poison, 1):
                        sent = await producer.send("custody.events.v1", key=b"poison", value=raw)
                        acknowledged.append(sent)
                self._sent = count
            await asyncio.gather(*acknowledged)  # else it would be the feed that lost something
        finally:
            for producer in producers:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(producer.stop(), _CLOSE_S)


async def _send(producer: AIOKafkaProducer, booking: Booking, arrival: Arrival) -> asyncio.Future[RecordMetadata]:
    event = arrival.event
    attributes = Attributes(
        arrival.event_id, booking.place.source, "sallyport.custody.v1", event.occurred_at, datetime.now(UTC)
    )
    acknowledged: asyncio.Future[RecordMetadata] = await producer.send(
        "custody.events.v1",
        key=episode_id(event.facility, event.booking_number).encode(),
        value=msgspec.json.encode(event),
        headers=encode_headers(attributes),
    )
    return acknowledged
