"""The broker goes away: 503 with Retry-After, and once it is back, everything that was answered 202 is there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import DevStack, StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.operator.registry import publish
from tests.integration.ingest.conftest import ingest_on
from tests.integration.ingest.support import (
    AGENCY_KEY,
    JAIL_KEY,
    NYC,
    NYC_KEY,
    RECORDS,
    Topic,
    bearer,
    booked,
    header,
    lodge,
)
from tests.support.kafka import fresh_topics
from tests.support.plain import plain
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif("KAFKA_BOOTSTRAP_SERVERS" in os.environ, reason="needs a Kafka that it may stop"),
    pytest.mark.timeout(400),
]
NAME = f"test-outage-{os.getpid()}"
TIMEOUT_S = 5
"""Seconds that ingest waits for the broker: a request that waits for nobody takes less, on a busy machine too."""


@pytest.fixture(scope="module")
def broker() -> Iterator[StackInfo]:
    """A stack of our own, to be stopped."""
    with ephemeral(checkout_root(), NAME) as info:
        fresh_topics(info.kafka_bootstrap_servers)
        asyncio.run(publish(plain(info.kafka_bootstrap_servers), RECORDS))
        yield info


@pytest.fixture
def ingest(broker: StackInfo, tmp_path: Path) -> Iterator[ServiceProcess]:
    with ingest_on(
        broker.kafka_bootstrap_servers, tmp_path, SALLYPORT_KAFKA_REQUEST_TIMEOUT_MS=str(1000 * TIMEOUT_S)
    ) as process:
        yield process


def kafka_pid() -> int:
    (kafka,) = (part for part in DevStack(checkout_root(), NAME).status() if part.part == "kafka")
    assert kafka.pid is not None
    return kafka.pid


async def post(
    http: aiohttp.ClientSession, url: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, dict[str, Any], float]:
    begun = time.monotonic()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(url + path, data=data, headers=headers, middlewares=()) as answer:
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status, await answer.json(content_type=None), time.monotonic() - begun


async def until_taken(
    http: aiohttp.ClientSession, ingest: ServiceProcess, path: str, body: Any, headers: dict[str, str]
) -> None:
    async with asyncio.timeout(60):
        while (await post(http, ingest.url, path, body, headers))[0] not in (200, 202):
            await asyncio.to_thread(ingest.wait_ready)


def ids(broker: StackInfo) -> list[str]:
    return [header(r, "ce_id") for r in Topic(broker.kafka_bootstrap_servers, "custody.events.v1").records()]


async def test_a_broker_that_hangs(http: aiohttp.ClientSession, ingest: ServiceProcess, broker: StackInfo) -> None:
    batch = [booked(f"H-{n}") for n in range(50)]
    as_batch = bearer(JAIL_KEY, "application/cloudevents-batch+json")
    assert (await post(http, ingest.url, "/v1/events", booked("H-ok"), bearer(JAIL_KEY)))[0] == 202
    pid = kafka_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        status, answer, took = await post(http, ingest.url, "/v1/events", batch, as_batch)
        assert (status, answer["code"]) == (503, "broker_unavailable")
        assert took < 6 * TIMEOUT_S
        assert {r["status"] for r in answer["results"]} <= {"unknown", "not_taken"}
        # Now that it is known, nobody waits, and nothing more is handed over.
        async with asyncio.timeout(60):
            while (await post(http, ingest.url, "/v1/events", booked("H-x"), bearer(JAIL_KEY)))[2] > TIMEOUT_S / 2:
                pass
        for path, body, headers in (
            ("/v1/detainers", lodge("H-1"), bearer(AGENCY_KEY, "application/json")),
            (f"/v1/rosters/{NYC}", b"inmateid\n", bearer(NYC_KEY, "text/csv")),
            ("/v1/events", b"not json", bearer(JAIL_KEY)),
        ):
            status, answer, took = await post(http, ingest.url, path, body, headers)
            assert (status, answer["code"]) == (503, "broker_unavailable")
            assert took < TIMEOUT_S / 2
        ready, why = ingest.get("/readyz")
        assert ready == 503 and "producer" in why
        assert ingest.get("/livez")[0] == 200  # a restart would not help
    finally:
        os.kill(pid, signal.SIGCONT)

    await until_taken(http, ingest, "/v1/events", batch, as_batch)
    await until_taken(http, ingest, "/v1/detainers", lodge("H-1"), bearer(AGENCY_KEY, "application/json"))
    assert set(ids(broker)) >= {event["id"] for event in batch} | {"evt-H-ok"}
    ingest.wait_ready()
    assert ingest.terminate() == 0


async def test_a_broker_that_is_restarted_under_load(
    http: aiohttp.ClientSession, ingest: ServiceProcess, broker: StackInfo
) -> None:
    stack = DevStack(checkout_root(), NAME)
    accepted: list[str] = []
    statuses: set[int] = set()
    over = False

    async def jail(name: int) -> None:
        n = 0
        while not over:
            event = booked(f"R-{name}-{n}")
            status, _, _ = await post(http, ingest.url, "/v1/events", event, bearer(JAIL_KEY))
            statuses.add(status)
            if status == 202:
                accepted.append(event["id"])
                n += 1

    jails = [asyncio.create_task(jail(name)) for name in range(16)]
    await eventually(lambda: len(accepted) > 200)
    await asyncio.to_thread(stack.down)
    await eventually(lambda: 503 in statuses)
    await asyncio.to_thread(lambda: stack.up(owner=stack.owner))
    before = len(accepted)
    await eventually(lambda: len(accepted) > before + 200)
    over = True
    await asyncio.gather(*jails)

    assert statuses == {202, 503}
    assert set(accepted) <= set(ids(broker))
    assert ingest.terminate() == 0


async def test_sigterm_while_the_broker_is_away_ends_within_the_deadline(ingest: ServiceProcess) -> None:
    pid = kafka_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        sent = asyncio.Event()

        async def on_sent(*_: object) -> None:
            sent.set()

        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(on_sent)
        async with aiohttp.ClientSession(trace_configs=[trace]) as sender:
            waiting = asyncio.create_task(post(sender, ingest.url, "/v1/events", booked("T-1"), bearer(JAIL_KEY)))
            await sent.wait()
            # Its bytes lay in the server's socket before this request was made: once that is answered, they are read.
            assert (await asyncio.to_thread(ingest.get, "/livez"))[0] == 200
            ingest.ask_to_end()
            answered, _, _ = await waiting
        assert answered == 503  # answered, not cut off
        assert ingest.wait_exit(60) == 0
    finally:
        os.kill(pid, signal.SIGCONT)
