"""TLS with verification, to Kafka and to PostgreSQL."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from services.platform.errors import ConfigurationError

__all__ = ["tls_context"]


def tls_context(ca_file: str, setting: str) -> ssl.SSLContext:
    """TLS 1.2 or later, with the certificate and the host name verified, against the CAs of `ca_file` or the system's.

    setting: the name to blame. Raises ConfigurationError: there is no such file, or there are no certificates in it.
    """
    if not ca_file:
        return _context("", 0)
    try:
        return _context(ca_file, Path(ca_file).stat().st_mtime_ns)
    except ssl.SSLError:
        raise ConfigurationError(f"{setting}: no CA certificates (PEM) in {ca_file}") from None
    except OSError as error:
        raise ConfigurationError(f"{setting}: {ca_file} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=8)
def _context(ca_file: str, _changed_at: int) -> ssl.SSLContext:
    """Kept, since producers come and go (one a roster), and the system's CAs take 20 ms to read."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
