"""Where PostgreSQL is, and how the way there is secured: one place for the pool and for migrations."""

from __future__ import annotations

import ssl
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from msgspec import Struct

from services.notifier.settings import NotifierSettings
from services.platform.errors import ConfigurationError, Unavailable
from services.platform.tls import tls_context

__all__ = ["Database", "DatabaseLoginRefused", "DatabaseNotTrusted", "database_of", "refusal"]

_OF_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding")


class DatabaseLoginRefused(Unavailable):
    """PostgreSQL does not take this user with this password, or not from here."""

    code = "database_login_refused"


class DatabaseNotTrusted(Unavailable):
    """PostgreSQL's certificate is not one that is trusted, is of another host name, or there is no TLS at all."""

    code = "database_not_trusted"


def refusal(error: BaseException) -> Unavailable | None:
    """Ours for an error that says that the door is shut; None for any other."""
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return DatabaseLoginRefused(f"PostgreSQL refuses the login ({error.sqlstate})")
    if isinstance(error, ssl.SSLCertVerificationError):
        return DatabaseNotTrusted(f"PostgreSQL's certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLError) or "rejected SSL upgrade" in str(error):
        return DatabaseNotTrusted("PostgreSQL speaks no TLS there")
    return None


class Database(Struct, frozen=True):
    """url: postgresql://user:password@host:port/name. tls: how the server is verified; None: plain text, if the URL
    does not say otherwise (`sslmode`)."""

    url: str
    tls: SSLContext | None = None

    def options(self) -> dict[str, Any]:
        """What asyncpg takes beside the URL."""
        return {"ssl": self.tls} if self.tls is not None else {}


def database_of(settings: NotifierSettings) -> Database:
    """The database of the settings: verified (verify-full), whatever `sslmode` the URL asks for, unless plain text is
    allowed.

    Raises ConfigurationError: it is missing, no URL of PostgreSQL, or the CA file is of no use.
    """
    url = settings.database_url.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError("SALLYPORT_DATABASE_URL is missing, or is not a postgresql:// URL")
    if settings.allow_plaintext:
        return Database(url)
    if not parts.hostname:
        raise ConfigurationError("SALLYPORT_DATABASE_URL names no host, whose certificate could be verified")
    # A provider's URL often says sslmode=require, which verifies nothing.
    kept = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key not in _OF_TLS])
    return Database(
        parts._replace(query=kept).geturl(), tls_context(settings.database_ca_file, "SALLYPORT_DATABASE_CA_FILE")
    )
