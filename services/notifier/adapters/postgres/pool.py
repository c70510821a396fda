"""The pool, and what counts as a database that is away."""

from __future__ import annotations

from typing import Any

import asyncpg

from services.notifier.adapters.postgres.access import Database
from services.notifier.adapters.postgres.schema import head

__all__ = ["AWAY", "Pool", "make_pool", "revision_problem"]

Pool = Any
"""asyncpg.Pool; the library has no types."""

AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
"""Errors after which the same statement may succeed later. What was under way was rolled back, or its outcome is not
known; every statement of the ledger may be repeated."""


async def make_pool(database: Database, size: int) -> Pool:
    """Connect. Raises one of AWAY.

    Connections are handed back as they are: no statement of the ledger leaves anything behind in its session, and a
    reset would be one more round trip each time.
    """
    return await asyncpg.create_pool(
        database.url, min_size=2, max_size=size, command_timeout=30, reset=_as_it_is, **database.options()
    )


async def _as_it_is(_connection: Any) -> None:
    pass


async def revision_problem(pool: Pool) -> str | None:
    """None when the schema is the one that this code knows."""
    try:
        found = await pool.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    return None if found == head() else f"database is at revision {found}, wanted {head()}: sallyport migrate"
