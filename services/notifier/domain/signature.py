"""Standard Webhooks signatures, version 1 (standardwebhooks.com, specification 1.0.0, "Signature scheme")."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from typing import Final

__all__ = ["SECRET_PREFIX", "decode_secret", "encode_secret", "sign"]

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the mark of a secret, not one


def encode_secret(raw: bytes) -> str:
    """How a secret is shown to its owner. raw: 24 to 64 random bytes."""
    return SECRET_PREFIX + b64encode(raw).decode()


def decode_secret(secret: str) -> bytes:
    """The key bytes of a secret. Raises ValueError (binascii.Error) if it is none."""
    return b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def sign(key: bytes, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`. timestamp_s: seconds since 1970, UTC, the same as in `webhook-timestamp`."""
    signed = b"%s.%d.%s" % (webhook_id.encode(), timestamp_s, body)
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
