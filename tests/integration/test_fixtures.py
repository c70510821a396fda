"""The fixtures that every integration test stands on."""

from __future__ import annotations

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.devstack.stack import StackInfo


async def test_each_test_has_an_empty_database_of_its_own(database_url: str, stack: StackInfo) -> None:
    assert database_url != stack.database_url
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    await connection.execute("create table left_behind (id int)")
    await connection.close()
    assert tables == []


async def test_the_broker_takes_topics_under_names_of_this_test(stack: StackInfo, suffix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap_servers)
    await admin.start()
    try:
        topic = f"fixture.{suffix}"
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
        assert topic in await admin.list_topics()
    finally:
        await admin.close()
