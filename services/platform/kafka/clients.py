"""How a service's Kafka clients are made: one place for their settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faststream.kafka import KafkaBroker

from services.platform.kafka import lost_writes
from services.platform.kafka.security import broker_security, security_options
from services.platform.logs import get_logger
from services.platform.settings import PlatformSettings

__all__ = ["MAX_RECORD_BYTES", "client_options", "leave", "make_broker", "make_consumer", "make_producer"]

log = get_logger(__name__)
lost_writes.install()
MAX_RECORD_BYTES: Final = 4 * 1024 * 1024
"""The largest record that a producer sends. Topics that may get such ones take it too (contracts/topics.yaml)."""


def client_options(settings: PlatformSettings) -> dict[str, Any]:
    """What every client of this service shares: where the brokers are, who asks, and how the way is secured.

    For aiokafka and kafka-python. Raises ConfigurationError (`security`).
    """
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "client_id": settings.instance or "sallyport",
        "request_timeout_ms": settings.kafka_request_timeout_ms,
        **security_options(settings),
    }


def make_broker(settings: PlatformSettings) -> KafkaBroker:
    """The FastStream broker that a service's subscribers hang on. Topics are never created by it."""
    return KafkaBroker(
        settings.kafka_bootstrap_servers.split(","),
        client_id=settings.instance or "sallyport",
        request_timeout_ms=settings.kafka_request_timeout_ms,
        allow_auto_create_topics=False,
        enable_idempotence=True,
        acks="all",
        security=broker_security(settings),
        logger=None,  # its own account of every message; ours names the event ids
    )


async def leave(broker: KafkaBroker, patience_s: float, *, fatal: Callable[[BaseException], None]) -> None:
    """Stop a broker: its subscribers take no more, and leave their groups. With the coordinator away that may last:
    after `patience_s` seconds it is left to itself. fatal: gets what stopping fails with; the end goes on."""
    leaving = asyncio.create_task(broker.stop())
    await asyncio.wait({leaving}, timeout=patience_s)
    if not leaving.done():
        log.warning("group_not_left", deadline_s=patience_s)
        leaving.cancel()
    elif not leaving.cancelled() and (error := leaving.exception()) is not None:
        fatal(error)


def make_producer(
    settings: PlatformSettings, *, transactional_id: str | None = None, **options: Any
) -> AIOKafkaProducer:
    """A producer that is idempotent and waits for all in-sync replicas; not started.

    transactional_id: one per partition that it writes for; starting it fences every earlier holder (G3).
    """
    return AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        max_request_size=options.pop("max_request_size", MAX_RECORD_BYTES),
        **options,
    )


def make_consumer(settings: PlatformSettings, **options: Any) -> AIOKafkaConsumer:
    """A consumer without a group that reads committed records only, unless `isolation_level` is given; not started,
    nothing assigned."""
    return AIOKafkaConsumer(
        **client_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=options.pop("isolation_level", "read_committed"),
        **options,
    )
