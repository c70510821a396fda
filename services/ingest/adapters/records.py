"""What ingest writes: custody events, detainers and rejects as Kafka records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import episode_id, reject_id
from contracts.types.detainer import Detainer
from contracts.types.reject import Reject
from services.ingest.domain.events import Accepted
from services.ingest.domain.refusal import Refused
from services.platform.kafka.outlets import OutRecord

__all__ = [
    "CUSTODY_TOPIC",
    "DETAINERS_TOPIC",
    "REJECTS_TOPIC",
    "SOURCE",
    "detainer_record",
    "event_record",
    "reject_records",
]

CUSTODY_TOPIC: Final = "custody.events.v1"
DETAINERS_TOPIC: Final = "detainers.v1"
REJECTS_TOPIC: Final = "rejects.v1"
SOURCE: Final = "sallyport/ingest"
PART_BYTES: Final = 2 * 1024 * 1024
"""Of a reject's bytes in one record: base64 makes 2.7 MiB of them, and rejects.v1 takes 4."""

_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)
def _episode_key(facility: str, booking_number: str) -> bytes:
    return episode_id(facility, booking_number).encode()


def event_record(accepted: Accepted, now: datetime, traceparent: str | None = None) -> OutRecord:
    """The record of a custody event that was taken at `now`. traceparent: a valid one, of what it belongs to."""
    event = accepted.event
    attributes = Attributes(accepted.id, accepted.source, accepted.type, event.occurred_at, now)
    return OutRecord(
        CUSTODY_TOPIC,
        _episode_key(event.facility, event.booking_number),
        _encode(event),
        encode_headers(attributes, traceparent),
    )


def detainer_record(detainer: Detainer, source: str, traceparent: str | None = None) -> OutRecord:
    """The record of one version of a detainer; the same version always has the same id."""
    attributes = Attributes(
        id=f"{detainer.detainer_id}.{detainer.occurred_at.timestamp():.6f}.{detainer.sequence}",
        source=source,
        type=f"sallyport.detainer.{detainer.state}.v1",
        time=detainer.occurred_at,
        accepted_at=detainer.accepted_at,
    )
    headers = encode_headers(attributes, traceparent)
    return OutRecord(DETAINERS_TOPIC, detainer.detainer_id.encode(), _encode(detainer), headers)


def reject_records(
    raw: bytes,
    refused: Refused,
    *,
    source: str,
    edge: str,
    now: datetime,
    content_type: str | None = None,
    traceparent: str | None = None,
) -> Iterator[OutRecord]:
    """The records that keep refused bytes: one, or several parts where they are large. Under one reject id."""
    identity = reject_id(source, raw, refused.code)
    parts = max(1, -(-len(raw) // PART_BYTES))
    for part in range(1, parts + 1):
        reject = Reject(
            reject_id=identity,
            source=source,
            edge=edge,
            code=refused.code,
            detail=refused.detail,
            rejected_at=now,
            raw=raw[(part - 1) * PART_BYTES : part * PART_BYTES],
            field=refused.field,
            content_type=content_type.encode("ascii", "replace").decode()[:200] if content_type else None,
            part=part,
            parts=parts,
        )
        attributes = Attributes(
            identity if parts == 1 else f"{identity}.{part}", SOURCE, "sallyport.reject.v1", now, now
        )
        yield OutRecord(REJECTS_TOPIC, source.encode(), _encode(reject), encode_headers(attributes, traceparent))
