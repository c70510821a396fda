"""Rejects: input that was refused, with its bytes and the reason (G1)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contracts.types.common import Contract, Instant, ShortText, Text

__all__ = ["Reject"]


class Reject(Contract, kw_only=True, frozen=True):
    """`raw` is what came, byte for byte, in base64 (JSON has no bytes).

    A body larger than one record may hold is kept in parts, numbered from 1, under one reject id.
    """

    reject_id: Annotated[str, Meta(pattern=r"^rej_[a-z2-7]{24}\Z")]
    source: Annotated[
        ShortText, Meta(description="Registered source, or 'unauthenticated', or topic/partition/offset.")
    ]
    edge: Annotated[ShortText, Meta(description="Where it was refused, such as 'POST /v1/events' or 'matcher'.")]
    code: Annotated[
        str,
        Meta(pattern=r"^[a-z][a-z0-9_]*\Z", description="Reason code, the same as in the answer to the sender."),
    ]
    detail: Text
    rejected_at: Instant
    raw: bytes
    field: Annotated[ShortText, Meta(description="JSON path or column of the field at fault.")] | None = None
    content_type: ShortText | None = None
    part: Annotated[int, Meta(ge=1)] = 1
    parts: Annotated[int, Meta(ge=1)] = 1
