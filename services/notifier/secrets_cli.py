"""`sallyport secrets status|key`: which key the webhook secrets in the ledger are under; a new key."""

from __future__ import annotations

import asyncio

from cryptography.fernet import Fernet
from cyclopts import App
from rich.table import Table

from services.notifier.adapters.postgres.access import database_of, refusal
from services.notifier.adapters.postgres.pool import NOT_REACHED, make_pool
from services.notifier.adapters.rotation import Counts, count
from services.notifier.adapters.secrets import SecretBox, fingerprint
from services.notifier.settings import NotifierSettings
from services.platform.errors import Unavailable
from services.platform.operator.reading import make_console

__all__ = ["app"]

app = App(name="secrets", help="The key that webhook secrets are encrypted with.")


async def _count(settings: NotifierSettings, box: SecretBox) -> Counts:
    pool = await make_pool(database_of(settings), 2)
    try:
        return await count(pool, box)
    finally:
        await pool.close()


@app.command
def status() -> int:
    """How many secrets are under which key of SALLYPORT_SECRETS_KEYS, each shown by its fingerprint.

    Exit status 1 while any is under a key that is not the first: an older one must not be removed yet.
    """
    settings = NotifierSettings()
    box = SecretBox([key.get_secret_value() for key in settings.secrets_keys])
    try:
        counts = asyncio.run(_count(settings, box))
    except NOT_REACHED as error:
        raise refusal(error) or Unavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
    table = Table("key", "use", "secrets")
    for number, (key, found) in enumerate(zip(box.keys, counts.by_key, strict=True)):
        table.add_row(fingerprint(key), "decrypts" if number else "encrypts", str(found))
    if counts.unknown:
        table.add_row("[red]not configured[/red]", "", str(counts.unknown))
    make_console().print(table)
    return 1 if counts.older or counts.unknown else 0


@app.command
def key() -> int:
    """Make a key for SALLYPORT_SECRETS_KEYS. It is shown once."""
    fresh = Fernet.generate_key().decode()
    console = make_console()
    console.print(f"key          {fresh}", highlight=False)
    console.print(f"fingerprint  {fingerprint(fresh)}", highlight=False)
    return 0
