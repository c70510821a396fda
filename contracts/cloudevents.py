"""CloudEvents 1.0 on Kafka in binary mode: attributes are `ce_*` headers, the value is the JSON data.

Headers carry no personal data (G8): ids, types and times only. `ce_acceptedtime` is an extension of ours: when
ingest took the input that the event goes back to, so that the end-to-end age can be told at any later place.
`ce_traceparent`, where there is one, is the Distributed Tracing extension: see `traceparent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from contracts.traceparent import header
from contracts.types.common import within_years

__all__ = ["CONTENT_TYPE", "SPEC_VERSION", "Attributes", "decode_headers", "encode_headers", "rfc3339"]

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"

Headers = Sequence[tuple[str, bytes]]


class Attributes(Struct, frozen=True):
    """The attributes of one event.

    id: unique within `source`. source: who says it, the registered source or `sallyport/<service>`.
    type: such as `sallyport.custody.released.v1`. time: when it happened, or was decided. accepted_at: see above.
    """

    id: str
    source: str
    type: str
    time: datetime
    accepted_at: datetime


def rfc3339(instant: datetime) -> str:
    """UTC, microseconds, `Z`: one spelling for one instant. Needs an offset, and a year that UTC has too."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat("T", "microseconds")[:-6] + "Z"


_FIXED: Final = (("ce_specversion", SPEC_VERSION.encode()), ("content-type", CONTENT_TYPE.encode()))


def encode_headers(attributes: Attributes, traceparent: str | None = None) -> list[tuple[str, bytes]]:
    """The Kafka headers of an event, in an order that never varies. traceparent: a valid one, to be carried along."""
    return [
        *_FIXED,
        ("ce_id", attributes.id.encode()),
        ("ce_source", attributes.source.encode()),
        ("ce_type", attributes.type.encode()),
        ("ce_time", rfc3339(attributes.time).encode()),
        ("ce_acceptedtime", rfc3339(attributes.accepted_at).encode()),
        *header(traceparent),
    ]


def decode_headers(headers: Iterable[tuple[str, bytes | None]]) -> Attributes:
    """Read the attributes back. Of a header that is there twice the last one counts.

    Raises:
        ValueError: an attribute is missing, null, empty, not UTF-8 or not a time, or the specversion is not 1.0.
            The message names the attribute and never its value.
    """
    found = dict(headers)
    if found.get("ce_specversion") != b"1.0":
        raise ValueError("ce_specversion: must be 1.0")
    return Attributes(
        id=_text(found, "ce_id"),
        source=_text(found, "ce_source"),
        type=_text(found, "ce_type"),
        time=_instant(found, "ce_time"),
        accepted_at=_instant(found, "ce_acceptedtime"),
    )


def _text(found: Mapping[str, bytes | None], name: str) -> str:
    raw = found.get(name)
    if not raw:  # Kafka has headers whose value is null
        raise ValueError(f"{name}: missing")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{name}: not UTF-8") from None


def _instant(found: Mapping[str, bytes | None], name: str) -> datetime:
    text = _text(found, name)
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: not a time") from None
    if value.tzinfo is None:
        raise ValueError(f"{name}: has no offset")
    within_years(**{name: value})
    return value
