"""The pool, and what counts as a database that is away."""

from __future__ import annotations

from typing import Any

import asyncpg

from services.notifier.adapters.postgres.access import Database
from services.notifier.adapters.postgres.schema import head, known
from services.platform.logs import get_logger

__all__ = ["AWAY", "NOT_REACHED", "Pool", "make_pool", "revision_problem"]

log = get_logger(__name__)
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

NOT_REACHED: tuple[type[BaseException], ...] = (*AWAY, asyncpg.InvalidAuthorizationSpecificationError)
"""Errors with which a connection is not made: `access.refusal` tells a shut door from a database that is away."""


async def make_pool(database: Database, size: int) -> Pool:
    """Connect. Raises one of NOT_REACHED.

    Connections are handed back as they are: no statement of the ledger leaves anything behind in its session, and a
    reset would be one more round trip each time.
    """
    return await asyncpg.create_pool(
        database.url, min_size=2, max_size=size, command_timeout=30, reset=_as_it_is, **database.options()
    )


async def _as_it_is(_connection: Any) -> None:
    pass


async def revision_problem(pool: Pool) -> str | None:
    """None when the schema is the one that this code knows, or one that a later version made of it: migrations only
    add, so that the version before can go on, and can be gone back to (docs/operate/upgrade.md)."""
    try:
        found = await pool.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    if found is not None and found not in known():
        log.warning("database_ahead", reason=f"revision {found}, newest known here {head()}")
        return None
    return None if found == head() else f"database is at revision {found}, wanted {head()}: sallyport migrate"
