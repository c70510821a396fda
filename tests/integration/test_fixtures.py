"""The fixtures that every integration test stands on."""

from __future__ import annotations

import asyncpg

from deploy.devstack.stack import StackInfo
from tests.integration.platform.support import create_topic, produce, settings_for


async def test_each_test_has_an_empty_database_of_its_own(database_url: str, stack: StackInfo) -> None:
    assert database_url != stack.database_url
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    await connection.execute("create table left_behind (id int)")
    await connection.close()
    assert tables == []


async def test_the_broker_takes_topics_under_names_of_this_test(stack: StackInfo, suffix: str) -> None:
    settings = settings_for(stack.kafka_bootstrap_servers)
    topic = await create_topic(settings, f"fixture.{suffix}", partitions=2)
    await produce(settings, topic, [(b"key", b"value")], partition=1)
