"""Webhook secrets at rest: Fernet (AES-128-CBC with HMAC-SHA256), with as many keys as a rotation needs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from services.notifier.domain.signature import decode_secret, encode_secret
from services.platform.errors import ConfigurationError

__all__ = ["SecretBox", "fingerprint"]


def fingerprint(key: str) -> str:
    """What a key is called where it must not be shown: 8 hexadecimal digits of its hash."""
    return sha256(key.strip().encode()).hexdigest()[:8]


class SecretBox:
    """The first key encrypts, all decrypt. Raises ConfigurationError where there is none, or one is no Fernet key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys: tuple[str, ...] = ()
        # An endpoint's secret is asked for at every attempt; decrypting it each time would cost as much as signing.
        self.signing_key = lru_cache(maxsize=4096)(self._signing_key)
        self.use(keys)

    def use(self, keys: Sequence[str]) -> None:
        """Take these keys from now on. Raises ConfigurationError, and goes on with those it had."""
        if not keys:
            raise ConfigurationError("SALLYPORT_SECRETS_KEYS is missing: Fernet keys, comma-separated")
        try:
            made = [Fernet(key) for key in keys]
        except ValueError as error:
            raise ConfigurationError("SALLYPORT_SECRETS_KEYS: not a Fernet key (32 bytes, URL-safe base64)") from error
        self.keys, self._each, self._fernet = tuple(keys), made, MultiFernet(made)
        self.signing_key.cache_clear()

    def new(self) -> tuple[str, bytes]:
        """A fresh secret: as its owner is shown it, once, and as it is kept."""
        secret = encode_secret(secrets.token_bytes(32))
        return secret, self._fernet.encrypt(secret.encode())

    def key_of(self, encrypted: bytes) -> int | None:
        """Which of the keys a secret is under: 0 is the one that encrypts; None: none of them."""
        for number, key in enumerate(self._each):
            try:
                key.decrypt(encrypted)
            except InvalidToken:
                continue
            return number
        return None

    def renewed(self, encrypted: bytes) -> bytes:
        """The same secret under the first key. Raises ConfigurationError: it is under none that is configured."""
        try:
            return self._fernet.rotate(encrypted)
        except InvalidToken as error:
            raise ConfigurationError("a webhook secret was encrypted with a key that is not configured") from error

    def _signing_key(self, encrypted: bytes) -> bytes:
        try:
            return decode_secret(self._fernet.decrypt(encrypted).decode())
        except InvalidToken as error:
            raise ConfigurationError("a webhook secret was encrypted with a key that is not configured") from error
