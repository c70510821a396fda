"""A record on its way to Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

__all__ = ["OutRecord"]


class OutRecord(Struct, frozen=True):
    """One record to be written. partition None: by the hash of the key."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None
