"""Kafka, as far as this system uses it: logs, transactions with fencing, what a committed reader sees, groups.

Written from the protocol (KIP-98, KIP-360, KIP-62), not from what the services want of it: a transactional id has an
epoch, a new holder aborts what the old one left open, markers take an offset and come a moment after the decision,
nobody who reads committed sees past the first open transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RequestTimedOutError,
)

from tests.simulation.group import Group
from tests.simulation.loop import VirtualLoop
from tests.simulation.net import Server

__all__ = ["REQUEST_TIMEOUT_S", "Broker", "Entry", "Log", "Transaction"]

REQUEST_TIMEOUT_S: Final = 2.0
_TRANSACTION_TIMEOUT_S: Final = 20.0
Key = tuple[str, int]
Headers = Sequence[tuple[str, bytes]]


class Transaction:
    """committed: None until it is decided. opened: where its first record is, by partition."""

    __slots__ = ("committed", "epoch", "id", "opened", "unmarked")

    def __init__(self, transactional_id: str, epoch: int) -> None:
        self.id = transactional_id
        self.epoch = epoch
        self.committed: bool | None = None
        self.opened: dict[Key, int] = {}
        self.unmarked: set[Key] = set()


class Entry:
    """A record, or (value and key None, marker True) the end of a transaction."""

    __slots__ = ("headers", "key", "marker", "offset", "transaction", "value")

    def __init__(
        self,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        transaction: Transaction | None,
        marker: bool = False,
    ) -> None:
        self.offset, self.key, self.value, self.headers = offset, key, value, headers
        self.transaction, self.marker = transaction, marker


class Log:
    """One partition."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.open: dict[Transaction, int] = {}
        self.waiters: list[Callable[[], None]] = []

    def end(self, committed: bool = True) -> int:
        """The last stable offset, or the end."""
        return min(self.open.values(), default=len(self.entries)) if committed else len(self.entries)

    def read(self, start: int, limit: int, committed: bool = True) -> tuple[list[Entry], int]:
        """Records from `start` on, and where to go on from."""
        end = self.end(committed)
        found: list[Entry] = []
        for entry in self.entries[start:end]:
            if len(found) >= limit:
                return found, entry.offset
            t = entry.transaction
            if not entry.marker and (t is None or t.committed or not committed):
                found.append(entry)
        return found, max(start, end)

    def append(
        self, key: bytes | None, value: bytes | None, headers: Headers, transaction: Transaction | None, marker: bool
    ) -> int:
        offset = len(self.entries)
        self.entries.append(Entry(offset, key, value, tuple(headers), transaction, marker))
        return offset

    def moved(self) -> None:
        """Readers have something to look at."""
        waiters, self.waiters = self.waiters, []
        for wake in waiters:
            wake()


class Broker(Server):
    """topics: name -> partitions. limits: name -> bytes of the largest record that it takes. One broker that is never
    lost, only away: replication is not what is tested here."""

    def __init__(self, loop: VirtualLoop, rng: Random, topics: Mapping[str, int], limits: Mapping[str, int]) -> None:
        super().__init__(
            loop,
            rng,
            "kafka",
            refused=lambda: KafkaConnectionError("away"),
            lost=lambda: RequestTimedOutError("no answer"),
            timeout_s=REQUEST_TIMEOUT_S,
            served=(KafkaError,),
        )
        self.logs: dict[Key, Log] = {(t, p): Log() for t, n in topics.items() for p in range(n)}
        self.partitions = dict(topics)
        self._limits = limits
        self.groups: dict[str, Group] = {}
        self._epochs: dict[str, int] = {}
        self._current: dict[str, Transaction] = {}
        self.counts: dict[str, int] = dict.fromkeys(("fenced", "aborted", "committed", "timed out"), 0)
        self.on_event: Callable[[str], None] = lambda _: None
        self.on_commit: Callable[[Transaction], None] = lambda _: None

    def entries(self, topic: str) -> list[Entry]:
        """All that a committed reader sees, partition by partition."""
        return [e for p in range(self.partitions[topic]) for e in self.logs[topic, p].read(0, 1 << 60)[0]]

    def group(self, name: str, topic: str) -> Group:
        known = self.groups.get(name)
        if known is None:
            keys = [(topic, p) for p in range(self.partitions[topic])]
            known = self.groups[name] = Group(self, name, keys)
        return known

    # -- requests ------------------------------------------------------------------------------------------------------

    def init_producer(self, transactional_id: str) -> int:
        """The epoch of a new holder; whoever held it before is fenced, and what he left open aborted."""
        open_one = self._current.get(transactional_id)
        if open_one is not None:
            if open_one.committed is None:
                self.on_event(f"{transactional_id}: a transaction left open is aborted for a new holder")
                self._decide(open_one, False)
            raise ConcurrentTransactions
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        return self._epochs[transactional_id]

    def append(
        self,
        key: Key,
        records: Sequence[tuple[bytes | None, bytes | None, Headers]],
        transactional_id: str | None = None,
        epoch: int = 0,
    ) -> int:
        """Append a batch; returns the offset of its first record. One record that is too large is all of it refused."""
        log = self.logs[key]
        if any(len(k or b"") + len(v or b"") > self._limits[key[0]] for k, v, _ in records):
            raise MessageSizeTooLargeError
        transaction: Transaction | None = None
        if transactional_id is not None:
            transaction = self._open(transactional_id, epoch)
            if key not in transaction.opened:
                transaction.opened[key] = len(log.entries)
                log.open[transaction] = len(log.entries)
        first = len(log.entries)
        for k, v, headers in records:
            log.append(k, v, headers, transaction, False)
        log.moved()
        return first

    def end_transaction(self, transactional_id: str, epoch: int, commit: bool) -> None:
        """Decide the open transaction. The markers come a moment later, and not everywhere at once."""
        self._check(transactional_id, epoch)
        transaction = self._current.get(transactional_id)
        if transaction is None or transaction.committed is not None:
            raise InvalidTxnState
        self._decide(transaction, commit)

    def fetch(
        self, wanted: Sequence[tuple[str, int, int]], limit: int, wait_s: float, committed: bool = True
    ) -> asyncio.Future[dict[Key, tuple[list[Entry], int]]]:
        """Records of (topic, partition, offset)s; held back for `wait_s` seconds until there is something."""
        answer: asyncio.Future[dict[Key, tuple[list[Entry], int]]] = self.loop.create_future()

        def look(last: bool = False) -> None:
            if answer.done():
                return
            found = {}
            for topic, partition, offset in wanted:
                entries, following = self.logs[topic, partition].read(offset, limit, committed)
                if following > offset:
                    found[topic, partition] = (entries, following)
            if found or last:
                answer.set_result(found)
            else:
                for topic, partition, _ in wanted:
                    self.logs[topic, partition].waiters.append(look)

        look(last=not wait_s)
        if not answer.done():
            self.loop.call_later(wait_s, look, True, context=self.process.context)
        return answer

    def ends(self, keys: Sequence[Key], committed: bool = True) -> dict[Key, int]:
        return {key: self.logs[key].end(committed) for key in keys}

    # -- transactions --------------------------------------------------------------------------------------------------

    def _check(self, transactional_id: str, epoch: int) -> None:
        if epoch != self._epochs[transactional_id]:
            self.counts["fenced"] += 1
            self.on_event(f"{transactional_id}: a holder of epoch {epoch} is fenced")
            raise ProducerFenced

    def _open(self, transactional_id: str, epoch: int) -> Transaction:
        self._check(transactional_id, epoch)
        transaction = self._current.get(transactional_id)
        if transaction is None:
            transaction = self._current[transactional_id] = Transaction(transactional_id, epoch)
            self.loop.call_later(_TRANSACTION_TIMEOUT_S, self._expire, transaction, context=self.process.context)
        elif transaction.committed is not None:
            raise ConcurrentTransactions
        return transaction

    def _expire(self, transaction: Transaction) -> None:
        if transaction.committed is None:
            self.counts["timed out"] += 1
            self.on_event(f"{transaction.id}: a transaction left open is aborted after its time")
            self._epochs[transaction.id] += 1
            self._decide(transaction, False)

    def _decide(self, transaction: Transaction, commit: bool) -> None:
        transaction.committed = commit
        self.counts["committed" if commit else "aborted"] += 1
        if commit:
            self.on_commit(transaction)
        transaction.unmarked = set(transaction.opened)
        if not transaction.opened:
            del self._current[transaction.id]
        for key in sorted(transaction.opened):
            delay = 0.0002 + 0.004 * self.rng.random()
            self.loop.call_later(delay, self._mark, transaction, key, context=self.process.context)

    def _mark(self, transaction: Transaction, key: Key) -> None:
        log = self.logs[key]
        log.append(None, None, (), transaction, True)
        del log.open[transaction]
        transaction.unmarked.discard(key)
        if not transaction.unmarked:
            del self._current[transaction.id]
        log.moved()
