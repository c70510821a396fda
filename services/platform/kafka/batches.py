"""Batches of raw records through FastStream, at least once.

FastStream as it comes would lose records here in three ways, each closed below (docs/adr/0004):
it commits before the work is done (ACK_FIRST) or on an error (ACK): so MANUAL, and offsets are committed by the
service after its work is durable; a header that is not UTF-8 fails in its parser and the record is skipped: so a
parser that reads nothing; a handler's error is logged and the next batch is taken: so an error here ends the
process, and what was not committed is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any, cast
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import ConsumerStoppedError, GroupAuthorizationFailedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.subscriber.usecase import BatchSubscriber

from services.platform.errors import KafkaNotAuthorised

__all__ = ["BatchHandler", "Fatal", "Records", "in_hand", "subscribe"]

Records = tuple[ConsumerRecord, ...]
BatchHandler = Callable[[Records], Awaitable[None]]
Fatal = Callable[[BaseException], None]


class _Message(KafkaMessage):
    """A batch as it came. FastStream's own acknowledgement is out of play: see the module."""


def subscribe(
    broker: KafkaBroker,
    topic: str,
    handle: BatchHandler,
    *,
    fatal: Fatal,
    group_id: str | None,
    listener: ConsumerRebalanceListener | None = None,
    max_records: int = 2000,
    poll_ms: int = 100,
    on_taken: Callable[[Records], None] | None = None,
    description: str = "",
    **consumer_options: Any,
) -> BatchSubscriber:
    """Hand every batch of `topic` to `handle`, one after the other, records of one partition in order.

    handle: gets raw records of one or more partitions; what it raises goes to `fatal`, and no later batch is
        handed over. It owns the batch until it returns.
    fatal: called once with the error; has to bring the process to an end.
    group_id: consumer group; None reads every partition from the beginning, without commits.
    max_records: most records in a batch.
    poll_ms: how long, in milliseconds, a poll waits for records. It returns as soon as there are some.
    on_taken: called, without a turn of the event loop in between, when a batch leaves the consumer.
    """
    failed = False
    holds: dict[int, int] = {}

    def fail(error: BaseException) -> None:
        nonlocal failed
        if not failed:
            failed = True
            fatal(error)

    async def parse(records: Records) -> KafkaMessage:
        if on_taken is not None and not failed:
            try:
                on_taken(records)
            except Exception as error:  # what a parser raises is logged at most, and the batch is gone
                fail(error)
        return _Message(
            body=b"",
            headers={},
            raw_message=records,
            message_id="",
            correlation_id="",
            consumer=FAKE_CONSUMER,
        )

    async def decode(message: KafkaMessage) -> Any:
        return message.raw_message

    async def guarded(records: Sequence[Any]) -> None:
        if failed:
            return
        try:
            for record in reversed(records):
                holds[record.partition] = record.offset
            await handle(tuple(records))
            holds.clear()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # FastStream stops its loop so
            # Something that the handler awaited was cancelled. Let through, it would end the loop without a word.
            fail(error)
        except BaseException as error:  # SystemExit too: FastStream takes it for a wish to stop, and ends in silence
            fail(error)

    subscriber = broker.subscriber(
        topic,
        batch=True,
        group_id=group_id,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        ack_policy=AckPolicy.MANUAL,
        max_records=max_records,
        batch_timeout_ms=poll_ms,
        listener=listener,
        parser=parse,
        decoder=decode,
        no_reply=True,
        title=topic,
        description=description,
        **consumer_options,
    )
    subscriber(guarded)
    batches = cast(BatchSubscriber, subscriber)
    _guard_polls(batches, fail)
    _HOLDS[batches] = holds
    return batches


def in_hand(subscriber: BatchSubscriber) -> dict[int, int]:
    """Partition -> first offset of the batch that the handler has now, for `ConsumerProgress(handled=...)`.

    The consumer's own position is past a batch as soon as it is taken: by it, a handler that hangs looks idle.
    """
    return dict(_HOLDS[subscriber])


_HOLDS: WeakKeyDictionary[BatchSubscriber, dict[int, int]] = WeakKeyDictionary()


def _guard_polls(subscriber: BatchSubscriber, fail: Fatal) -> None:
    """An error of the poll that Kafka's clients do not know (a header whose name is not UTF-8) ends the process.

    FastStream would start its loop anew at once, for ever, on the record that cannot be read. Its own poll also sleeps
    after one that found nothing, as long as it had waited: a record that comes meanwhile would be that much older.
    """

    async def guarded_poll(consumer: AIOKafkaConsumer) -> Records:
        try:
            found = await consumer.getmany(
                timeout_ms=subscriber.batch_timeout_ms, max_records=subscriber.max_records or None
            )
            return tuple(chain.from_iterable(found.values()))
        except GroupAuthorizationFailedError as error:
            # The consumer's coordinator has ended with it, and does not come back when the ACL does.
            fail(KafkaNotAuthorised(f"READ of group {subscriber.group_id}: sallyport topics apply --acls"))
            raise ConsumerStoppedError from error
        except (KafkaError, ConsumerStoppedError):
            raise  # the one is tried again after a pause, the other is the regular end
        except Exception as error:
            fail(error)
            raise ConsumerStoppedError from error

    subscriber.get_msg = guarded_poll  # type: ignore[method-assign]
