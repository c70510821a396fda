"""`sallyport migrate`: bring the notifier's database up to date."""

from __future__ import annotations

import asyncio

from cyclopts import App
from rich.console import Console

from services.notifier.adapters.postgres.access import database_of
from services.notifier.adapters.postgres.schema import head
from services.notifier.adapters.postgres.schema import migrate as upgrade
from services.notifier.settings import NotifierSettings
from services.platform.errors import Unavailable

__all__ = ["migrate"]

migrate = App(name="migrate", help="Bring the notifier's database up to date.")


@migrate.default
def run() -> int:
    """Upgrade the database of DATABASE_URL to the newest revision; nothing to do is no error."""
    try:
        asyncio.run(upgrade(database_of(NotifierSettings())))
    except OSError as error:
        raise Unavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
    Console().print(f"database is at revision {head()}")
    return 0
