"""Ingest as a real process on a real Kafka, and Kafka read by an independent client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import StackInfo
from services.platform.operator.registry import publish
from tests.integration.ingest.support import RECORDS
from tests.support.plain import PLAIN, plain
from tests.support.waiting import eventually

__all__ = ["ingest_on"]


@contextmanager
def ingest_on(bootstrap: str, directory: Path, **settings: str) -> Iterator[ServiceProcess]:
    """An ingest process of its own, ready."""
    with ProcessGroup(directory) as group:
        process = group.service("ingest", {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, **PLAIN, **settings})
        process.start()
        process.wait_ready()
        yield process


@pytest.fixture(scope="module")
def registered(topics: StackInfo) -> StackInfo:
    """The stack with fresh topics, and the test's agencies, facilities and sources on registry.v1."""
    asyncio.run(publish(plain(topics.kafka_bootstrap_servers), RECORDS))
    return topics


@pytest.fixture(scope="module")
def ingest(registered: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One ingest for the module."""
    with ingest_on(registered.kafka_bootstrap_servers, tmp_path_factory.mktemp("ingest")) as process:
        yield process


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Comes again where ingest says so, as a sender does; `middlewares=()` at a request shows its first answer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), middlewares=[_until_served]) as session:
        yield session


async def _until_served(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """On a busy machine a batch may be unacknowledged for longer than ingest lets anybody wait (503)."""

    async def served() -> aiohttp.ClientResponse | None:
        answer = await handler(request)
        if answer.status != 503:
            return answer
        await answer.read()
        return None

    found: aiohttp.ClientResponse = await eventually(served, what=f"{request.url} is served")
    return found
