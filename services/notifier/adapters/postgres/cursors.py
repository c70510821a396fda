"""Cursors of lists: the time and the id of a page's last entry."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from services.platform.errors import ContractViolation

__all__ = ["decode_cursor", "encode_cursor"]


def encode_cursor(at: datetime, name: str) -> str:
    return urlsafe_b64encode(msgspec.json.encode((at, name))).decode()


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Raises ContractViolation: not one that `encode_cursor` made."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor), type=tuple[Annotated[datetime, Meta(tz=True)], str])
    except (ValueError, msgspec.DecodeError):
        raise ContractViolation("cursor_invalid", "not a cursor of this API", "cursor") from None
