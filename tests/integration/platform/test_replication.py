"""Three real brokers, one of which is killed: its partitions show as under-replicated, until it is back."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import prometheus_client
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.devstack.jars import ensure_jars
from deploy.devstack.java import find_java
from deploy.devstack.kafka import KafkaNode
from deploy.devstack.processes import ServerProcess, choose_port
from deploy.devstack.stack import checkout_root
from services.platform.kafka.clients import make_producer
from services.platform.kafka.replication import Replication
from tests.integration.platform.support import settings_for
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(500)
BROKERS = 3
CLUSTER = "c2FsbHlwb3J0LXRocmVlMQ"
TOPICS = {"conflicts.v1": 4, "notices.v1": 2}


@dataclass(frozen=True)
class Member(KafkaNode):
    """A node of a cluster of three, by the pinned jars. controllers: the ports of all of them, by number."""

    number: int = 1
    controllers: tuple[int, ...] = ()

    def settings(self) -> str:
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(self.controllers, start=1))
        own = {
            "node.id": self.number,
            "controller.quorum.voters": voters,
            "default.replication.factor": BROKERS,
            "offsets.topic.replication.factor": BROKERS,
            "min.insync.replicas": 2,
        }
        return super().settings() + "".join(f"{key}={value}\n" for key, value in own.items())

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text(self.settings())
        format_it = ("format", "-t", CLUSTER, "-c", str(self._settings_file), "--ignore-formatted")
        subprocess.run(self._command("kafka.tools.StorageTool", *format_it), check=True, capture_output=True)


class Brokers:
    """The cluster; `start` and `kill` by index."""

    def __init__(self, directory: Path) -> None:
        ports: list[int] = []
        for _ in range(2 * BROKERS):
            ports.append(choose_port(avoid=ports))
        java, jars = find_java(), tuple(ensure_jars(checkout_root() / ".dev" / "cache" / "jars"))
        self.members = [
            Member(
                directory=directory / str(n),
                logs=directory / str(n) / "logs",
                port=ports[n],
                controller_port=ports[BROKERS + n],
                java=java,
                jars=jars,
                number=n + 1,
                controllers=tuple(ports[BROKERS:]),
            )
            for n in range(BROKERS)
        ]
        self.running: dict[int, ServerProcess] = {}

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(member.bootstrap_servers for member in self.members)

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.members[number].prepare()
            self.running[number] = self.members[number].spawn()
        for number in numbers:
            self.members[number].wait(self.running[number], seconds=180)  # three at once

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            self.running.pop(number).stop([(signal.SIGKILL, 5.0)])


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    made = Brokers(tmp_path)
    try:
        made.start(*range(BROKERS))
        yield made
    finally:
        made.kill(*list(made.running))


def lacking(topic: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value("sallyport_topic_under_replicated_partitions", {"topic": topic})


async def test_a_broker_that_is_killed_shows_and_so_does_its_return(brokers: Brokers) -> None:
    settings = settings_for(brokers.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers.bootstrap_servers)
    await admin.start()

    async def made() -> bool:
        """Asked for until it is so: a broker may answer before it counts as one that can take a replica."""
        await admin.create_topics([NewTopic(name, count, BROKERS) for name, count in TOPICS.items()])
        return TOPICS.keys() <= set(await admin.list_topics())

    try:
        await eventually(made)
    finally:
        await admin.close()
    producer = make_producer(settings)
    await producer.start()
    watching = asyncio.create_task(Replication("notifier", lambda: producer.client, look_s=0.5).run())
    try:
        await eventually(lambda: {topic: lacking(topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 0), within_s=90)
        await asyncio.to_thread(brokers.kill, 2)
        # Each partition has a replica on each broker.
        await eventually(lambda: {topic: lacking(topic) for topic in TOPICS} == TOPICS, within_s=90)
        await asyncio.to_thread(brokers.start, 2)
        await eventually(lambda: {topic: lacking(topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 0), within_s=90)
        assert not watching.done(), "the watch has ended"
    finally:
        watching.cancel()
        await producer.stop()
