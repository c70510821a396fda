"""Batches are handed over at least once, and nothing is ever skipped (G1; docs/adr/0004)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker
from kafka import KafkaProducer

from deploy.devstack.stack import StackInfo
from services.platform.kafka.batches import Records, subscribe
from services.platform.settings import PlatformSettings
from tests.integration.platform.support import create_topic, produce, settings_for, started
from tests.support.waiting import eventually


@pytest.fixture
def settings(stack: StackInfo) -> PlatformSettings:
    return settings_for(stack.kafka_bootstrap_servers)


class Reader:
    """A service in small: handles a batch, then commits what it has handled."""

    def __init__(self, topic: str, group: str, handle: Callable[[ConsumerRecord], None] = lambda _: None) -> None:
        self.topic, self.group, self.handle = topic, group, handle
        self.seen: list[ConsumerRecord] = []
        self.errors: list[BaseException] = []
        self.committed = 0

    def compose(self, broker: KafkaBroker) -> None:
        self.subscriber = subscribe(
            broker, self.topic, self.batch, fatal=self.errors.append, group_id=self.group, max_records=5
        )

    async def batch(self, records: Records) -> None:
        for record in records:
            self.handle(record)
            self.seen.append(record)
        assert self.subscriber.consumer is not None
        last = records[-1]
        await self.subscriber.consumer.commit({TopicPartition(last.topic, last.partition): last.offset + 1})
        self.committed = last.offset + 1

    def values(self) -> list[bytes | None]:
        return [record.value for record in self.seen]

    def taken(self) -> int:
        """The position of the consumer: how far the batches that were taken reach."""
        consumer = self.subscriber.consumer
        return -1 if consumer is None else consumer._subscription.subscription.assignment.state_value(
            TopicPartition(self.topic, 0)
        )._position  # fmt: skip


def numbered(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k", str(n).encode()) for n in range(first, last)]


def refuses(value: bytes, error: BaseException) -> Callable[[ConsumerRecord], None]:
    def handle(record: ConsumerRecord) -> None:
        if record.value == value:
            raise error

    return handle


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), SystemExit(3), asyncio.CancelledError()], ids=lambda e: type(e).__name__
)
async def test_an_error_is_fatal_and_nothing_after_it_is_handed_over_or_lost(
    settings: PlatformSettings, suffix: str, error: BaseException
) -> None:
    topic, group = await create_topic(settings, f"batches.{suffix}"), f"g.{suffix}"
    await produce(settings, topic, numbered(0, 3))
    first = Reader(topic, group, refuses(b"4", error))
    async with started(settings, first.compose):
        await eventually(lambda: len(first.seen) == 3)
        await produce(settings, topic, numbered(3, 20))
        await eventually(lambda: bool(first.errors))
        # Its loop still turns: batches are taken from the consumer, and none reaches the handler.
        await eventually(lambda: first.taken() == 20)
        await produce(settings, topic, numbered(20, 21))
        await eventually(lambda: first.taken() == 21)
    assert first.errors == [error]
    assert first.committed in (3, 4)  # 4, if the record before the bad one came in a batch of its own
    assert b"5" not in first.values()

    second = Reader(topic, group)
    async with started(settings, second.compose):
        await eventually(lambda: len(second.seen) >= 21 - first.committed)
    assert second.values() == [value for _, value in numbered(first.committed, 21)]
    assert second.errors == []


async def test_a_record_with_a_header_that_is_not_utf_8_is_handed_over_like_any_other(
    settings: PlatformSettings, suffix: str
) -> None:
    """FastStream's parser fails on it before any acknowledgement logic, and the whole batch is gone."""
    topic = await create_topic(settings, f"batches.{suffix}")
    await produce(
        settings,
        topic,
        [
            (b"k", b"before"),
            (b"k", b"odd", [("ce_id", b"\xff\xfe")]),
            (b"k", b"reply", [("reply_to", b"elsewhere"), ("content-type", b"application/json")]),
            (b"k", b"{not json", [("content-type", b"application/json")]),
            (b"k", None),
            (b"k", b"after"),
        ],
    )
    reader = Reader(topic, f"g.{suffix}")
    async with started(settings, reader.compose):
        await eventually(lambda: len(reader.seen) == 6)
    assert reader.values() == [b"before", b"odd", b"reply", b"{not json", None, b"after"]
    assert reader.seen[1].headers == (("ce_id", b"\xff\xfe"),)
    assert reader.errors == []


class _RawName(str):
    """The name of a header as no decent client writes it."""

    __slots__ = ()

    def encode(self, *_args: object, **_options: object) -> bytes:
        return b"\xff\xfe"


async def test_a_record_that_the_client_cannot_read_is_fatal_and_is_met_again(
    settings: PlatformSettings, suffix: str
) -> None:
    """aiokafka fails on the name of a header that is not UTF-8. Nobody gets past it without a decision."""
    topic, group = await create_topic(settings, f"batches.{suffix}"), f"g.{suffix}"
    with contextlib.closing(KafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)) as producer:
        for value, headers in ((b"before", []), (b"odd", [(_RawName("x"), b"v")]), (b"after", [])):
            producer.send(topic, value, headers=headers).get(10)
    for _ in range(2):
        reader = Reader(topic, group)
        async with started(settings, reader.compose):
            await eventually(lambda reader=reader: bool(reader.errors))  # type: ignore[misc]
            assert [type(error) for error in reader.errors] == [UnicodeDecodeError]
            assert b"after" not in reader.values()
            await eventually(
                lambda reader=reader: all(task.done() for task in reader.subscriber.tasks),  # type: ignore[misc]
                what="the loop turns on the record that it cannot read",
            )


async def test_an_error_when_a_batch_is_taken_is_fatal_too(settings: PlatformSettings, suffix: str) -> None:
    topic = await create_topic(settings, f"batches.{suffix}")
    await produce(settings, topic, numbered(0, 3))
    reader = Reader(topic, f"g.{suffix}")
    error = RuntimeError("no")

    def taken(_records: Records) -> None:
        raise error

    def compose(broker: KafkaBroker) -> None:
        reader.subscriber = subscribe(
            broker, topic, reader.batch, fatal=reader.errors.append, group_id=reader.group, on_taken=taken
        )

    async with started(settings, compose):
        await eventually(lambda: bool(reader.errors))
        await produce(settings, topic, numbered(3, 4))
        await eventually(lambda: reader.taken() == 4)
    assert reader.errors == [error]
    assert reader.values() == []


async def test_what_was_handled_and_not_committed_is_handed_over_again(settings: PlatformSettings, suffix: str) -> None:
    topic = await create_topic(settings, f"batches.{suffix}")
    await produce(settings, topic, numbered(0, 4))
    seen: list[bytes | None] = []

    async def handle(records: Records) -> None:
        seen.extend(record.value for record in records)

    def compose(broker: KafkaBroker) -> None:
        subscribe(broker, topic, handle, fatal=lambda _: None, group_id=f"g.{suffix}")

    for times in (1, 2):
        async with started(settings, compose):
            await eventually(lambda times=times: len(seen) == 4 * times)  # type: ignore[misc]
    assert seen == [b"0", b"1", b"2", b"3"] * 2


async def test_one_partition_is_handed_over_in_order_and_one_batch_at_a_time(
    settings: PlatformSettings, suffix: str
) -> None:
    topic = await create_topic(settings, f"batches.{suffix}", partitions=2)
    for partition in (0, 1):
        await produce(settings, topic, numbered(0, 40), partition)
    seen: dict[int, list[int]] = {0: [], 1: []}
    at_work = most = 0

    async def handle(records: Records) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)  # a turn of the loop, in which another batch would come if it could
        for record in records:
            seen[record.partition].append(int(record.value))
        at_work -= 1

    errors: list[BaseException] = []

    def compose(broker: KafkaBroker) -> None:
        subscribe(broker, topic, handle, fatal=errors.append, group_id=f"g.{suffix}", max_records=7)

    async with started(settings, compose):
        await eventually(lambda: len(seen[0]) + len(seen[1]) == 80)
    assert seen == {0: list(range(40)), 1: list(range(40))}
    assert most == 1
    assert errors == []
