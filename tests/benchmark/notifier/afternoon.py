"""The peer: what a team writes in an afternoon. FastStream with its default settings, an httpx POST a message.

Settings: KAFKA_BOOTSTRAP_SERVERS, TARGETS (agency=url, comma-separated), GROUP, SALLYPORT_HTTP_PORT (unused).
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import httpx
from faststream import FastStream
from faststream.kafka import KafkaBroker

targets = dict(pair.split("=", 1) for pair in os.environ["TARGETS"].split(","))
broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], logger=None)
client = httpx.AsyncClient(timeout=120)


@broker.subscriber("conflicts.v1", group_id=os.environ["GROUP"], auto_offset_reset="earliest")
async def notify(conflict: dict[str, Any]) -> None:
    headers = {"webhook-id": f"{conflict['conflict_id']}.{conflict['version']}"}
    await client.post(targets[conflict["detainer"]["agency"]], json=conflict, headers=headers)


logging.getLogger("httpx").setLevel(logging.WARNING)
asyncio.run(FastStream(broker, logger=None).run())
