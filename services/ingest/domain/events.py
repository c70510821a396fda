"""Custody events as sources send them: CloudEvents 1.0 whose data is the contract's CustodyEvent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from contracts.types.custody import CustodyEvent, Merged, Unmerged
from contracts.types.person import IdentifierKind
from services.ingest.domain.refusal import Refused
from services.ingest.domain.strict import StrictDecoder, refusal_of

__all__ = ["Accepted", "Envelope", "accept", "read_envelope", "type_of"]


class Envelope(Struct, frozen=True, gc=False):
    """The attributes that matter, and the data as it came. Extensions are let pass, as CloudEvents wants it.

    `time` is not read: the event's own occurred_at counts. traceparent: as it came, whatever it is; no ground to
    refuse anything.
    """

    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    datacontenttype: str | None = None
    data: Raw | UnsetType = UNSET
    data_base64: Raw | UnsetType = UNSET
    traceparent: Raw | UnsetType = UNSET


class Accepted(Struct, frozen=True, gc=False):
    """A custody event that is good; `type` is its CloudEvents type."""

    id: str
    source: str
    type: str
    kind: str
    event: CustodyEvent


def type_of(kind: str) -> str:
    """The CloudEvents type of a kind of custody event."""
    return f"sallyport.custody.{kind}.v1"


_KINDS: Final[dict[str, type[Any]]] = {str(k.__struct_config__.tag): k for k in get_args(CustodyEvent)}
_BY_TYPE: Final[dict[str, tuple[str, StrictDecoder]]] = {
    type_of(name): (name, StrictDecoder(kind)) for name, kind in _KINDS.items()
}
_envelope = msgspec.json.Decoder(Envelope).decode
_MAX_ID: Final = 128


def read_envelope(raw: Any) -> Envelope:
    """One CloudEvent in JSON format. Raises Refused."""
    try:
        return _envelope(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refusal_of(error) from None


def accept(
    envelope: Envelope, source: str, now: datetime, max_future: timedelta, attribute: str = "$.", data: str = "$.data"
) -> Accepted:
    """Judge an event.

    source: id of the source that sent it. max_future: how far its clock may be ahead of `now`.
    attribute, data: how the path of an attribute begins, and that of the data; they differ in binary mode.

    Raises:
        Refused: with one of the codes in docs/ingest.md.
    """
    if envelope.specversion != "1.0":
        raise Refused("specversion_unsupported", "specversion must be 1.0", f"{attribute}specversion")
    if not envelope.id:
        raise Refused("missing_field", "every event has an id, unique within its source", f"{attribute}id")
    if len(envelope.id) > _MAX_ID:
        raise Refused("invalid_value", f"an id has at most {_MAX_ID} characters", f"{attribute}id")
    if envelope.source != source:
        raise Refused("source_mismatch", f"source must be {source!r}, as the API key says", f"{attribute}source")
    known = _BY_TYPE.get(envelope.type)
    if known is None:
        raise Refused("type_unknown", "type must be sallyport.custody.KIND.v1", f"{attribute}type")
    if envelope.datacontenttype is not None and not _is_json(envelope.datacontenttype):
        raise Refused("datacontenttype_unsupported", "the data must be JSON", f"{attribute}datacontenttype")
    if envelope.data is UNSET:
        wanted = "data_base64 is not taken: " if envelope.data_base64 is not UNSET else ""
        raise Refused("missing_field", f"{wanted}the event is a JSON object under data", data)
    kind, decoder = known
    try:
        event = decoder.decode(envelope.data, data)
    except Refused as refused:
        if refused.field == f"{data}.kind" and refused.code == "invalid_value":
            raise Refused("kind_mismatch", f"data.kind is not what type says: {kind}", refused.field) from None
        raise
    if event.occurred_at > now + max_future:
        raise Refused("occurred_at_in_future", "occurred_at lies in the future", f"{data}.occurred_at")
    if isinstance(event, Merged | Unmerged):
        _check_merge(event, data)
    return Accepted(envelope.id, source, envelope.type, kind, event)


_WITH_ISSUER: Final = frozenset({IdentifierKind.SID, IdentifierKind.AGENCY_LOCAL})
_MERGEABLE: Final = _WITH_ISSUER | {IdentifierKind.UCN, IdentifierKind.A_NUMBER}


def _check_merge(event: Merged | Unmerged, data: str) -> None:
    """Two records of one register were found to be one, or not to be (rule 3); what else is said is a mistake.

    Raises:
        Refused: identifier_not_mergeable, merge_mismatch, merge_with_itself, missing_field.
    """
    for name, identifier in (("absorbed", event.absorbed), ("surviving", event.surviving)):
        if identifier.kind not in _MERGEABLE:  # ten thousand people share the last four digits of an SSN
            raise Refused(
                "identifier_not_mergeable",
                f"{identifier.kind} names no record that could be merged; want sid, ucn, a_number or agency_local",
                f"{data}.{name}.kind",
            )
        if identifier.kind in _WITH_ISSUER and identifier.issuer is None:
            raise Refused("missing_field", f"a {identifier.kind} is of an issuer", f"{data}.{name}.issuer")
    if event.absorbed.kind != event.surviving.kind:
        raise Refused("merge_mismatch", "both identifiers must be of one kind", f"{data}.surviving.kind")
    if event.absorbed.issuer != event.surviving.issuer:
        raise Refused("merge_mismatch", "both identifiers must be of one issuer", f"{data}.surviving.issuer")
    if _spelled(event.absorbed.value) == _spelled(event.surviving.value):
        raise Refused("merge_with_itself", "the two identifiers must differ", f"{data}.surviving.value")


def _spelled(value: str) -> str:
    return "".join(filter(str.isalnum, value)).upper()


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")
