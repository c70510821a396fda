"""Bring the database up to date, and tell whether it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from services.platform.errors import ConfigurationError

__all__ = ["check_url", "head", "migrate"]

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 0x5A117  # any number, the same in every instance: one migrates, the others wait


def check_url(url: str) -> str:
    """The URL, if it is one of PostgreSQL. Raises ConfigurationError."""
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ConfigurationError("DATABASE_URL is missing, or is not a postgresql:// URL")
    return url


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def migrate(url: str) -> None:
    """Upgrade to the newest revision, one instance at a time."""
    engine = create_async_engine(urlsplit(check_url(url))._replace(scheme="postgresql+asyncpg").geturl())
    try:
        async with engine.connect() as connection:
            await connection.execute(sqlalchemy.text(f"select pg_advisory_lock({_LOCK})"))
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.execute(sqlalchemy.text(f"select pg_advisory_unlock({_LOCK})"))
                await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: Any) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
