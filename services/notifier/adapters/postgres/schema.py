"""Bring the database up to date, and tell whether it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.notifier.adapters.postgres.access import Database

__all__ = ["head", "known", "migrate"]

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_LOOK_S = 0.1
_LOCK = 0x5A117  # any number, the same in every instance: one migrates, the others wait


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def known() -> frozenset[str]:
    """Every revision that this code knows. A database at one that is not among them was upgraded by a later version."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def migrate(database: Database) -> str:
    """Upgrade to the newest revision, one instance at a time; the revision that it is at then. A database that a later
    version has upgraded is left as it is. Raises one of NOT_REACHED (`pool`)."""
    # Connected by asyncpg, as the pool is. SQLAlchemy would make arguments of what the URL says behind `?`, which
    # asyncpg does not take, and errors of its own of those that say why there is no way in.
    own = await asyncpg.connect(database.url, **database.options())

    async def connected() -> Any:
        return own

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connected, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            # Asked for again and again: a session that waited in PostgreSQL would hold a snapshot, and an index that is
            # made concurrently waits for all of those.
            while not (await connection.execute(sqlalchemy.text(f"select pg_try_advisory_lock({_LOCK})"))).scalar():
                await connection.commit()
                await asyncio.sleep(_LOOK_S)
            await connection.commit()
            try:
                found: str = await connection.run_sync(_upgrade)
                await connection.commit()
                return found
            finally:
                await connection.execute(sqlalchemy.text(f"select pg_advisory_unlock({_LOCK})"))
                await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: Any) -> str:
    found = MigrationContext.configure(connection).get_current_revision()
    connection.commit()  # alembic wants to begin by itself
    if found is not None and found not in known():
        return found
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return head()
