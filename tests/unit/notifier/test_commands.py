"""`sallyport migrate` and `sallyport secrets` where the database does not let them in."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import pytest
from cryptography.fernet import Fernet

from services.notifier.cli import run as migrate
from services.notifier.secrets_cli import status
from services.platform.errors import SallyportError


@pytest.mark.parametrize("command", [migrate, status])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(), "unavailable"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "unavailable"),
        (asyncpg.InvalidPasswordError("password authentication failed"), "database_login_refused"),
    ],
)
def test_a_database_that_lets_nobody_in_is_told_by_its_code(
    monkeypatch: pytest.MonkeyPatch, command: Callable[[], int], error: BaseException, code: str
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncpg, "connect", refused)
    monkeypatch.setattr(asyncpg, "create_pool", refused)
    monkeypatch.setenv("SALLYPORT_ALLOW_PLAINTEXT", "true")
    monkeypatch.setenv("SALLYPORT_DATABASE_URL", "postgresql://somebody:hush@db.example/ledger")
    monkeypatch.setenv("SALLYPORT_SECRETS_KEYS", Fernet.generate_key().decode())
    with pytest.raises(SallyportError) as caught:
        command()
    assert caught.value.code == code and "hush" not in str(caught.value)
