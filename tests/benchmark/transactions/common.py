"""What every way shares: its task, the records that it reads and writes, and how a worker speaks with its parent."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from services.platform.kafka.outlets import OutRecord

__all__ = [
    "EVENTS",
    "OUT",
    "PARTITIONS",
    "STATE",
    "WAYS",
    "Control",
    "Task",
    "event_id",
    "outputs",
    "progress",
    "task_of",
]

EVENTS, OUT, STATE = "custody.events.v1", "conflicts.v1", "custody.state.v1"
PARTITIONS = 12
WAYS = ("aiokafka_ids", "kafka_python_group", "kafka_python_ids", "aiokafka_plain")
"""(1) what the matcher does; (2) KIP-447, one producer an instance; (3) as (1) with the other library; (4) the ceiling:
idempotent, no transactions, so that a crash may publish a part."""


class Task(Struct, frozen=True):
    """way: one of WAYS. inputs: most inputs of a transaction. seconds: how long; 0: until told to stop.
    alone: takes all partitions from their start, without a group and without restoring."""

    way: str
    bootstrap: str
    group: str
    inputs: int
    seconds: float = 0.0
    alone: bool = True
    session_timeout_ms: int = 6000
    transaction_timeout_ms: int = 60_000


def event_id(value: bytes) -> str:
    """The name of an event: what comes before its first space."""
    return value.split(b" ", 1)[0].decode()


def outputs(key: bytes, value: bytes, partition: int) -> tuple[OutRecord, OutRecord]:
    """What is written of one input: a conflict, and the state of its episode."""
    return OutRecord(OUT, key, value, ()), OutRecord(STATE, key, value, (), partition)


def progress(partition: int, offset: int) -> OutRecord:
    return OutRecord(STATE, b"progress", b'{"custody":%d}' % offset, (), partition)


class Control:
    """A worker's side of the pipe: lines of JSON to the parent, words from it.

    hang: the next transaction, once its records are with the broker, says "hanging" and waits for "go".
    offsets_first: it sends its offsets before it waits, where the way has any.
    """

    def __init__(self, seconds: float) -> None:
        self._until = seconds
        self._began: float | None = None
        self._cpu = 0.0
        self._asked = False
        self._hang = False
        self.offsets_first = False
        self._go = threading.Event()
        self._lock = threading.Lock()
        self._inputs = 0
        self._last = 0.0
        self._transactions: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            match line.strip():
                case "hang":
                    self._hang = True
                case "hang-after-offsets":
                    self.offsets_first = self._hang = True
                case "go":
                    self._go.set()
        self._asked = True

    def say(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()

    @property
    def stopping(self) -> bool:
        timed_out = self._until > 0 and self._began is not None and time.monotonic() - self._began > self._until
        return self._asked or timed_out

    def committed(self, inputs: int, seconds: float) -> None:
        """A transaction is through. The time runs from the first one's end, which carries what a start costs."""
        with self._lock:
            if self._began is None:
                self._began, self._cpu = time.monotonic(), _cpu()
                return
            self._inputs += inputs
            self._last = time.monotonic()
            self._transactions.append(seconds)

    def take_hang(self) -> bool:
        """Whether this transaction is the one to hang."""
        with self._lock:
            taken, self._hang = self._hang, False
        return taken

    def wait_go(self, partitions: Iterable[int]) -> None:
        self.say("hanging", partitions=sorted(partitions))
        self._go.wait()

    def done(self) -> None:
        """Tell the figures."""
        seconds = max(1e-9, self._last - (self._began or 0.0))
        cpu = _cpu() - self._cpu
        self.say("done", inputs=self._inputs, seconds=seconds, cpu_s=cpu, transactions=self._transactions)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def task_of(argument: str) -> Task:
    return msgspec.json.decode(argument, type=Task)
