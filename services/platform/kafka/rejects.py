"""A record that cannot be read, made into the reject that keeps it (G1)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from aiokafka import ConsumerRecord

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import reject_id
from contracts.traceparent import traceparent_of
from contracts.types.reject import Reject
from services.platform.errors import ContractViolation
from services.platform.kafka.records import OutRecord

__all__ = ["REJECTS_TOPIC", "unreadable"]

REJECTS_TOPIC: Final = "rejects.v1"


def unreadable(record: ConsumerRecord, violation: ContractViolation, service: str, now: datetime) -> OutRecord:
    """The reject of a Kafka record, with its bytes.

    Its source is topic, partition and offset: the same record refused again, after a restart or by another instance,
    has the same reject id.
    """
    source = f"{record.topic}/{record.partition}/{record.offset}"
    raw = record.value or b""
    reject = Reject(
        reject_id=reject_id(source, raw, violation.reason),
        source=source,
        edge=service,
        code=violation.reason,
        detail=violation.detail,
        field=violation.field,
        rejected_at=now,
        raw=raw,
    )
    attributes = Attributes(reject.reject_id, f"sallyport/{service}", "sallyport.reject.v1", now, now)
    headers = encode_headers(attributes, traceparent_of(record.headers))
    return OutRecord(REJECTS_TOPIC, source.encode(), msgspec.json.encode(reject), headers)
