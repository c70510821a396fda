"""`sallyport migrate`: bring the notifier's database up to date."""

from __future__ import annotations

import asyncio

from cyclopts import App
from rich.console import Console

from services.notifier.adapters.postgres.access import database_of, refusal
from services.notifier.adapters.postgres.pool import NOT_REACHED
from services.notifier.adapters.postgres.schema import head
from services.notifier.adapters.postgres.schema import migrate as upgrade
from services.notifier.settings import NotifierSettings
from services.platform.errors import Unavailable

__all__ = ["migrate"]

migrate = App(name="migrate", help="Bring the notifier's database up to date.")


@migrate.default
def run() -> int:
    """Upgrade the database of DATABASE_URL to the newest revision; nothing to do is no error, nor is a database that a
    later version has upgraded: it is left as it is."""
    try:
        found = asyncio.run(upgrade(database_of(NotifierSettings())))
    except NOT_REACHED as error:
        raise refusal(error) or Unavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
    ahead = "" if found == head() else f", of a later version than this, which knows {head()}: left as it is"
    Console().print(f"database is at revision {found}{ahead}")
    return 0
