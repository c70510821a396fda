"""The real Kafka and the real PostgreSQL: one of each for the whole run, started when the first test asks.

Topics are not cleaned up between tests: name them with the fixture `suffix`. Every test that asks for `database_url`
has an empty database of its own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from tests.support.kafka import fresh_topics
from tests.support.locked import locked, provisioned

__all__ = ["locked", "provisioned"]  # fixtures of tests/support, for all of tests/integration

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def stack() -> Iterator[StackInfo]:
    """Kafka and PostgreSQL, as StackInfo: `kafka_bootstrap_servers`, `database_url`, `environ()`.

    They are gone after the run, even if it is killed. SALLYPORT_TEST_STACK=testcontainers takes them from containers;
    KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL from elsewhere.
    """
    match os.environ.get("SALLYPORT_TEST_STACK", "devstack"):
        case "devstack":
            with ephemeral(checkout_root(), f"test-{os.getpid()}") as info:
                yield info
        case "testcontainers":
            from deploy.devstack.containers import containers

            with containers() as info:
                yield info
        case other:
            raise pytest.UsageError(f"SALLYPORT_TEST_STACK={other!r}: devstack or testcontainers")


@pytest.fixture
async def database_url(stack: StackInfo, suffix: str) -> AsyncIterator[str]:
    """The URL of a database that this test alone has, empty; dropped afterwards, open connections and all."""
    name = f"test_{suffix}"
    admin = await asyncpg.connect(stack.database_url)
    try:
        await admin.execute(f"create database {name}")
        yield urlsplit(stack.database_url)._replace(path=f"/{name}").geturl()
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def topics(stack: StackInfo) -> StackInfo:
    """The topics of contracts/topics.yaml, fresh for the module: what was in them before is deleted."""
    fresh_topics(stack.kafka_bootstrap_servers)
    return stack
