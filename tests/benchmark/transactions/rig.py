"""The parent's side: workers as processes, the feeder of events and the committed reader."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.devstack.kafka import KafkaNode
from deploy.devstack.processes import processes_with
from deploy.devstack.stack import checkout_root
from tests.benchmark.transactions.common import EVENTS, OUT, PARTITIONS, Task, event_id

__all__ = ["Feeder", "Reader", "Worker", "broker_cpu_s", "fill", "until"]

_FILLER = b" " + b"x" * 400
"""An event is as long as those of the matcher are."""


class Worker:
    """A process that runs one Task, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, task: Task) -> Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.benchmark.transactions.worker",
            msgspec.json.encode(task).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
            cwd=checkout_root(),
        )
        return cls(process)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append({**json.loads(line), "at": time.monotonic()})
            self._news.set()

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    async def hears(self, *events: str, partitions: int = 0, seconds: float = 60.0) -> dict[str, Any] | None:
        """The newest of what it said, once it is one of `events`, with at least so many partitions; None: never."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            said: dict[str, Any]
            for said in reversed(self.said):
                if said["event"] in events and len(said.get("partitions", ())) >= partitions:
                    return said
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), until - loop.time())
            except TimeoutError:
                break
        return None

    async def finish(self, seconds: float = 30.0) -> dict[str, Any]:
        """Ask it to stop; its figures, empty if it ended without."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listener
        return next((said for said in self.said if said["event"] == "done"), {})


class Feeder:
    """One event every `every_s` seconds to a partition in turn. sent: id -> (when, partition)."""

    def __init__(self, bootstrap: str, every_s: float = 0.01) -> None:
        self._bootstrap = bootstrap
        self._every_s = every_s
        self.sent: dict[str, tuple[float, int]] = {}
        self._stopping = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True) as producer:
            began, count = loop.time(), 0
            while not self._stopping:
                await asyncio.sleep(max(0.0, began + count * self._every_s - loop.time()))
                # Not simply in turn: two events of one partition are seldom 120 ms apart in the world.
                name, partition = f"ev-{count}", (count * 7 + count // 5) % PARTITIONS
                self.sent[name] = time.monotonic(), partition
                await producer.send(EVENTS, key=name.encode(), value=name.encode() + _FILLER, partition=partition)
                count += 1
            await producer.flush()

    def stop(self) -> None:
        self._stopping = True


class Reader:
    """A committed reader of the outputs. seen: id -> when, for each time that it was seen."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self.seen: defaultdict[str, list[float]] = defaultdict(list)
        self._stopping = False

    async def run(self) -> None:
        partitions = [TopicPartition(OUT, p) for p in range(6)]
        async with AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        ) as consumer:
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            while not self._stopping:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    now = time.monotonic()
                    for record in records:
                        self.seen[event_id(record.value)].append(now)

    def stop(self) -> None:
        self._stopping = True


async def fill(bootstrap: str, events: int) -> None:
    """A backlog, the same on each partition."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=20, max_batch_size=512 * 1024
    ) as producer:
        for count in range(events):
            name = f"ev-{count}".encode()
            await producer.send(EVENTS, key=name, value=name + _FILLER, partition=count % PARTITIONS)


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition held within so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.05)
    return True


def broker_cpu_s(stack: str) -> float:
    """Processor seconds that the broker of the stack of this name has used; 0 where it is not ours."""
    logs = checkout_root() / ".dev" / stack / "logs"
    spent = 0.0
    for process in processes_with(KafkaNode.marker(logs)):
        times = psutil.Process(process.pid).cpu_times()
        spent += times.user + times.system
    return spent
