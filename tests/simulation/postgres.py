"""PostgreSQL, as far as the notifier's ledger uses it: sessions, transactions all or nothing, each of its statements.

The notifier's own functions run on it (`record`, `claim`, `finish`, …); what a statement does to the tables is said in
`statements`. Transactions run one after the other, which is stricter than PostgreSQL: what two of them may
do to each other row by row is shown by the notifier's integration tests, on the real one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.simulation.loop import Process, VirtualLoop, current_process
from tests.simulation.net import Server
from tests.simulation.rows import Row, Tables
from tests.simulation.statements import STATEMENTS

__all__ = ["Database", "ModelPool"]


class _Session:
    """A connection. before: the tables as they were when its open transaction began."""

    __slots__ = ("before", "broken", "owner", "waiting")

    def __init__(self, owner: Process) -> None:
        self.owner = owner
        self.before: Tables | None = None
        self.broken = False
        self.waiting: asyncio.Future[None] | None = None


class Database(Server):
    """The server."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        super().__init__(
            loop,
            rng,
            "postgres",
            refused=lambda: ConnectionRefusedError("away"),
            lost=lambda: ConnectionResetError("lost"),
            timeout_s=1.0,
            served=(OSError,),
        )
        self.tables = Tables()
        self._holder: _Session | None = None
        self._queue: deque[tuple[_Session, asyncio.Future[None]]] = deque()
        self._sessions: list[_Session] = []
        self.counts = {"rolled back": 0, "committed": 0}

    def session(self, owner: Process) -> _Session:
        made = _Session(owner)
        self._sessions.append(made)
        return made

    def disconnect(self, owner: Process) -> None:
        """Whoever had these sessions is gone; what they had open is rolled back."""
        for session in [s for s in self._sessions if s.owner is owner]:
            self.close(session)

    def close(self, session: _Session) -> None:
        session.broken = True
        self._roll_back(session)
        if session in self._sessions:
            self._sessions.remove(session)

    def execute(self, session: _Session, statement: str, args: tuple[Any, ...], begins: bool) -> Any:
        """Carry a statement out, once no other transaction is open; it begins one if `begins`."""
        if session.broken:
            raise ConnectionResetError("closed")
        if self._holder is None or self._holder is session:
            return self._now(session, statement, args, begins)
        turn: asyncio.Future[None] = self.loop.create_future()
        answer: asyncio.Future[Any] = self.loop.create_future()

        def go(_: object) -> None:
            if session.broken:
                answer.set_exception(ConnectionResetError("closed"))
                self._next()
            else:
                answer.set_result(self._now(session, statement, args, begins))

        turn.add_done_callback(go)
        self._queue.append((session, turn))
        return answer

    def commit(self, session: _Session) -> None:
        if session.broken:
            raise ConnectionResetError("closed")
        if session.before is not None:
            session.before = None
            self.counts["committed"] += 1
            self._holder = None
            self._next()

    def roll_back(self, session: _Session) -> None:
        self._roll_back(session)

    def _now(self, session: _Session, statement: str, args: tuple[Any, ...], begins: bool) -> Any:
        if begins and session.before is None:
            self._holder = session
            session.before = self.tables.copy()
        result = STATEMENTS[statement](self.tables, *args)
        if self._holder is None:
            self._next()
        return result

    def _roll_back(self, session: _Session) -> None:
        if session.before is not None:
            self.tables, session.before = session.before, None
            self.counts["rolled back"] += 1
            self._holder = None
            self._next()

    def _next(self) -> None:
        if self._holder is None and self._queue:
            _, turn = self._queue.popleft()
            turn.set_result(None)


class _Connection:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._session = database.session(current_process())
        self._in_transaction = False

    async def fetch(self, statement: str, *args: Any) -> list[Row]:
        return await self._ask(self._database.execute, self._session, statement, args, self._in_transaction)  # type: ignore[no-any-return]

    async def execute(self, statement: str, *args: Any) -> str:
        return f"UPDATE {len(await self.fetch(statement, *args))}"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            self._database.close(self._session)
            raise
        self._in_transaction = False
        await self._ask(self._database.commit, self._session)

    async def _ask(self, *request: Any) -> Any:
        try:
            return await self._database.request(*request)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """The server hears of it in its own time."""
        database, session = self._database, self._session
        database.loop.call_later(0.001, database.close, session, context=database.process.context)


class ModelPool:
    """asyncpg.Pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[_Connection]:
        connection = _Connection(self._database)
        try:
            yield connection
        finally:
            connection.close()

    async def fetch(self, statement: str, *args: Any) -> list[Row]:
        async with self.acquire() as connection:
            return await connection.fetch(statement, *args)

    async def execute(self, statement: str, *args: Any) -> str:
        async with self.acquire() as connection:
            return await connection.execute(statement, *args)
