"""What a command of the operator reads (a topic up to where it ends now, a file), and how that is shown."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console

from services.platform.errors import ContractViolation
from services.platform.kafka.clients import make_consumer
from services.platform.kafka.doors import explained
from services.platform.kafka.partitions import assign_all
from services.platform.settings import PlatformSettings

__all__ = ["at", "file_bytes", "known", "make_console", "read_to_end", "span"]

T = TypeVar("T")
_DEADLINE_S = 60.0
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


async def read_to_end(settings: PlatformSettings, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Every committed record that is in the topic now, in the order of each partition.

    Raises:
        BrokerUnavailable: Kafka is away or shut (`doors`), or did not give it all within a minute.
        ConfigurationError: there is no such topic.
    """
    consumer = make_consumer(settings)
    found: list[ConsumerRecord[bytes, bytes]] = []
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await consumer.start()
            partitions = await assign_all(consumer, topic)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            for partition in partitions:
                # Not until a record has come: the last offset may be the marker of a transaction, which is none.
                while await consumer.position(partition) < ends[partition]:
                    for records in (await consumer.getmany(partition, timeout_ms=200)).values():
                        found += records
    except (KafkaError, OSError, TimeoutError) as error:
        raise await explained(settings, error, f"{topic} could not be read") from error
    finally:
        await consumer.stop()
    return found


def known(records: list[ConsumerRecord[bytes, bytes]], kind: type[T], console: Console) -> list[tuple[bytes, T | None]]:
    """(key, value) of each record; None where it takes its key out. One that is not of `kind` is told of and left out:
    an operator who has to act is not to be stopped by it."""
    decoder = msgspec.json.Decoder(kind)
    found: list[tuple[bytes, T | None]] = []
    for record in records:
        try:
            found.append((record.key or b"", decoder.decode(record.value) if record.value is not None else None))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            where = f"{record.topic}/{record.partition}/{record.offset}"
            console.print(f"[yellow]record_unreadable[/yellow]: {where} is left out", highlight=False)
    return found


def file_bytes(path: Path) -> bytes:
    """What is in a file that a command was given. Raises ContractViolation (file_unreadable)."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContractViolation("file_unreadable", f"{path}: {error.strerror}") from None


def make_console(**options: Any) -> Console:
    """What goes into a file or a pipe is not broken at 80 columns."""
    return Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", 160)), **options)


def at(instant: datetime) -> str:
    """An instant as an operator reads it: UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """A length of time in the two units that matter, such as `3 h 20 min`."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        large, small, one, other = whole // _HOUR_S, whole % _HOUR_S // _MINUTE_S, "h", "min"
    else:
        large, small, one, other = whole // _DAY_S, whole % _DAY_S // _HOUR_S, "d", "h"
    return f"{large} {one} {small} {other}" if small else f"{large} {one}"
