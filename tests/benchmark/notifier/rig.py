"""What the notifier's benchmarks stand on: the stack, a receiver, agencies with subscriptions, conflicts to tell."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import conflict_id, detainer_id, episode_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Cause,
    Conflict,
    ConflictDetainer,
    ConflictEpisode,
    CustodyStatus,
    Identity,
    Release,
    Stage,
)
from contracts.types.detainer import DetainerType, Intent
from contracts.types.registry import Agency, AgencyCategory, RegistryRecord, Source
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.support.kafka import fresh_topics
from tests.support.plain import plain

__all__ = ["AGENCIES", "Rig", "conflict", "rig"]

AGENCIES = ("BENCHAGC1", "BENCHAGC2")


def conflict(agency: str, number: int, run: str) -> Conflict:
    """A release to tell `agency` of."""
    now = datetime.now(UTC)
    detainer, episode = detainer_id(agency, f"{run}-{number}"), episode_id("BENCHJAIL", f"{run}-{number}")
    return Conflict(
        conflict_id=conflict_id(detainer, episode),
        version=1,
        stage=Stage.RELEASED,
        detainer=ConflictDetainer(
            detainer_id=detainer,
            agency=agency,
            agency_reference=f"{run}-{number}",
            type=DetainerType.IN_STATE_WARRANT,
            intent=Intent.HOLD,
            lodged_at=now,
        ),
        episode=ConflictEpisode(
            episode_id=episode,
            facility="BENCHJAIL",
            booking_number=f"{run}-{number}",
            custody_status=CustodyStatus.RELEASED,
        ),
        identity=Identity(tier=Tier.CONFIRMED, model="bench"),
        release=Release(released_at=now),
        cause=Cause(kind="released", source="bench-jms", event_id=str(number), occurred_at=now, accepted_at=now),
        decided_at=now,
    )


class Rig:
    """The stack and the receiver run; the notifier is started by whoever measures it."""

    def __init__(self, stack: StackInfo, group: ProcessGroup) -> None:
        self.stack = stack
        self.group = group
        self.receiver = group.program("receiver", ["-m", "tests.benchmark.notifier.receiver"], {})
        self.receiver.start()
        self.receiver.wait_ready()
        self.keys = {agency: new_key() for agency in AGENCIES}
        self.settings = {
            **stack.environ(),
            "SALLYPORT_SECRETS_KEYS": Fernet.generate_key().decode(),
            "SALLYPORT_ALLOW_PRIVATE_ENDPOINTS": "true",
            "SALLYPORT_ALLOW_PLAIN_HTTP": "true",
            "SALLYPORT_LOG_LEVEL": "warning",
        }
        records: list[RegistryRecord] = []
        for number, (agency, key) in enumerate(self.keys.items()):
            records.append(Agency(id=agency, name=agency, category=AgencyCategory.SHERIFF))
            records.append(Source(id=f"bench-{number}", key_sha256=[hash_key(key)], agency=agency))
        asyncio.run(publish(plain(stack.kafka_bootstrap_servers), records))
        group.run(["migrate"], self.settings)

    def notifier(self, **settings: str) -> ServiceProcess:
        """A notifier, ready."""
        notifier = self.group.service("notifier", {**self.settings, **settings}, name=f"notifier-{time.time_ns()}")
        notifier.start()
        notifier.wait_ready()
        return notifier

    def call(self, notifier: ServiceProcess, agency: str, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            notifier.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.keys[agency]}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def subscribe(self, notifier: ServiceProcess, agency: str, path: str) -> str:
        """Exactly one subscription of the agency, to this path of the receiver; its id."""
        for old in self.call(notifier, agency, "GET", "/v1/subscriptions")["subscriptions"]:
            request = urllib.request.Request(
                f"{notifier.url}/v1/subscriptions/{old['subscription_id']}",
                method="DELETE",
                headers={"Authorization": f"Bearer {self.keys[agency]}"},
            )
            urllib.request.urlopen(request, timeout=10).close()
        body = {"channel": "webhook", "url": f"{self.receiver.url}{path}"}
        return str(self.call(notifier, agency, "POST", "/v1/subscriptions", body)["subscription_id"])

    def arrivals(self, path: str) -> list[tuple[str, float]]:
        _, text = self.receiver.get(f"/arrivals{path}", timeout_s=30)
        return msgspec.json.decode(text, type=list[tuple[str, float]])

    def count(self, path: str) -> int:
        return int(self.receiver.get(f"/count{path}")[1] or 0)

    def reset(self) -> None:
        urllib.request.urlopen(f"{self.receiver.url}/reset", data=b"", timeout=10).close()

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.kafka_bootstrap_servers, enable_idempotence=True)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def publish(self, conflicts: list[Conflict]) -> None:
        async with self.producer() as producer:
            for c in conflicts:
                await send(producer, c)

    async def query(self, sql: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.stack.database_url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    def wait(self, what: str, done: Any, seconds: float = 120) -> None:
        if not wait_until(done, seconds=seconds, every_s=0.1):
            raise TimeoutError(f"{what}: not within {seconds:g} s")


async def send(producer: AIOKafkaProducer, c: Conflict) -> None:
    """One conflict version, as the matcher writes it."""
    attributes = Attributes(f"{c.conflict_id}.{c.version}", "sallyport/matcher", "c", c.decided_at, c.cause.accepted_at)
    await producer.send(
        "conflicts.v1",
        key=c.detainer.detainer_id.encode(),
        value=msgspec.json.encode(c),
        headers=encode_headers(attributes),
    )


@contextmanager
def rig() -> Iterator[Rig]:
    with ephemeral(checkout_root(), f"bench-{os.getpid()}") as stack, tempfile.TemporaryDirectory() as scratch:
        fresh_topics(stack.kafka_bootstrap_servers)
        with ProcessGroup(Path(scratch)) as group:
            yield Rig(stack, group)
