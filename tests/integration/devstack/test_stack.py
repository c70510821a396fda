"""The development stack itself, with real servers: these tests start stacks of their own, beside the shared one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.devstack.kafka import KafkaNode
from deploy.devstack.postgres import PostgresServer
from deploy.devstack.processes import processes_with, wait_until
from deploy.devstack.stack import DevStack, StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral

pytestmark = pytest.mark.timeout(600)  # the first to start a stack here fetches Kafka
OURS: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath)}  # no server of the environment
JAR_CACHE = checkout_root() / ".dev" / "cache" / "jars"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A directory that stands for a checkout, in a place that other accounts can reach."""
    base = checkout_root() / ".dev"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="checkout-", dir=base) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


GUARD = """
import sys
from pathlib import Path
from deploy.devstack.stack import DevStack
sys.stdin.read()
DevStack(Path(sys.argv[1])).down(delete=True)
"""


@pytest.fixture(scope="module")
def dev_stack(root: Path) -> Iterator[DevStack]:
    """A stack that stays, as by `sallyport dev up`. Another process of ours stops it, after a killed run too."""
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, str(root)], stdin=subprocess.PIPE, cwd=checkout_root(), start_new_session=True
    )
    yield DevStack(root, environ=OURS, jar_cache=JAR_CACHE)
    guard.communicate()
    assert guard.returncode == 0


def servers_of(directory: Path) -> list[int]:
    """The pids of the servers of the stack in this directory."""
    kafka = processes_with(KafkaNode.marker(directory / "logs"))
    postgres = processes_with(PostgresServer.marker(directory / "postgres"))
    return sorted(process.pid for process in [*kafka, *postgres])


def pids(stack: DevStack) -> list[int | None]:
    return [part.pid for part in stack.status()]


async def put_and_insert(info: StackInfo, text: str) -> None:
    """Leave `text` in both servers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=info.kafka_bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=info.kafka_bootstrap_servers, acks="all")
    await producer.start()
    await producer.send_and_wait("kept", text.encode())
    await producer.stop()
    connection = await asyncpg.connect(info.database_url)
    await connection.execute("create table kept (text text)")
    await connection.execute("insert into kept values ($1)", text)
    await connection.close()


async def consume_and_select(info: StackInfo) -> tuple[str, str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=info.kafka_bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("kept", 0)])
    record = await consumer.getone()
    await consumer.stop()
    connection = await asyncpg.connect(info.database_url)
    row = await connection.fetchval("select text from kept")
    await connection.close()
    assert record.value is not None
    return record.value.decode(), row


async def test_up_twice_is_once_and_a_restart_keeps_the_data_and_the_ports(dev_stack: DevStack) -> None:
    info = dev_stack.up()
    before = pids(dev_stack)
    assert dev_stack.up() == info
    assert pids(dev_stack) == before
    await put_and_insert(info, "still there")

    dev_stack.down()
    assert [part.state for part in dev_stack.status()] == ["stopped", "stopped"]
    assert servers_of(dev_stack.directory) == []

    assert dev_stack.up() == info
    assert await consume_and_select(info) == ("still there", "still there")


async def test_a_server_that_was_killed_is_started_again_with_its_data(dev_stack: DevStack) -> None:
    info = dev_stack.up()
    (killed,) = processes_with(KafkaNode.marker(dev_stack.directory / "logs"))
    psutil.Process(killed.pid).kill()
    assert wait_until(lambda: not killed.is_running, seconds=60)
    assert dev_stack.up() == info
    assert (await consume_and_select(info))[0] == "still there"


async def test_ports_that_somebody_else_took_meanwhile_are_chosen_anew(dev_stack: DevStack) -> None:
    old = dev_stack.up()
    dev_stack.down()
    port = int(old.kafka_bootstrap_servers.rpartition(":")[2])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        new = dev_stack.up()
        assert new.kafka_bootstrap_servers != old.kafka_bootstrap_servers
        assert await consume_and_select(new) == ("still there", "still there")


def test_two_checkouts_side_by_side_and_each_part_from_elsewhere(dev_stack: DevStack) -> None:
    first = dev_stack.up()
    with tempfile.TemporaryDirectory() as directory:  # for root alone: PostgreSQL cannot be another account here
        both = DevStack(
            Path(directory),
            environ={**OURS, "KAFKA_BOOTSTRAP_SERVERS": first.kafka_bootstrap_servers},
            jar_cache=JAR_CACHE,
        )
        try:
            second = both.up()
            assert second.kafka_bootstrap_servers == first.kafka_bootstrap_servers
            assert second.database_url != first.database_url
            assert [part.state for part in both.status()] == ["external", "running"]
            assert len(servers_of(both.directory)) == 1
        finally:
            both.down()
    assert len(servers_of(dev_stack.directory)) == 2, "down of one checkout has stopped a server of another"


def test_a_stack_whose_record_is_lost_is_stopped_all_the_same(dev_stack: DevStack) -> None:
    dev_stack.up()
    assert len(servers_of(dev_stack.directory)) == 2
    (dev_stack.directory / "stack.json").unlink()
    dev_stack.down()
    assert servers_of(dev_stack.directory) == []


PARENT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born with it ignored
from deploy.devstack.supervisor import ephemeral
with ephemeral(Path(sys.argv[1]), sys.argv[2], jar_cache=Path(sys.argv[3])) as info:
    print(info.kafka_bootstrap_servers, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_however_the_process_that_asked_for_it_ends(root: Path, signal_: signal.Signals) -> None:
    name = f"ends-by-{signal_.name.lower()}"
    directory = root / ".dev" / name
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(root), name, str(JAR_CACHE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=OURS,
        cwd=checkout_root(),
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline().startswith(b"127.0.0.1:")
        assert len(servers_of(directory)) == 2
        parent.send_signal(signal_)
        parent.wait(60)
    assert wait_until(lambda: servers_of(directory) == [] and not directory.exists(), seconds=60)
    assert wait_until(lambda: processes_with(name) == [], seconds=60), "the supervisor is left"


def test_nothing_is_left_when_the_supervisor_itself_is_killed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"):
        monkeypatch.delenv(setting, raising=False)
    with ephemeral(root, "orphaned", jar_cache=JAR_CACHE):
        directory = root / ".dev" / "orphaned"
        assert len(servers_of(directory)) == 2
        (supervisor,) = processes_with("orphaned")
        psutil.Process(supervisor.pid).kill()
    assert servers_of(directory) == []
    assert not directory.exists()
