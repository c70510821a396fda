"""POST /v1/events: custody events as CloudEvents, one or many. See docs/ingest.md."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw

from contracts.traceparent import valid
from contracts.types.registry import Source
from services.ingest.adapters.records import CUSTODY_TOPIC, event_record
from services.ingest.api.gate import Gate, Result, answer_refusal, fate, inflate
from services.ingest.api.traces import Sending
from services.ingest.domain.events import Accepted, Envelope, accept, read_envelope
from services.ingest.domain.refusal import Refused
from services.ingest.domain.strict import refusal_of
from services.ingest.metrics import events, facility_events
from services.ingest.settings import IngestSettings
from services.platform.errors import Forbidden
from services.platform.http.edge import Route
from services.platform.http.problems import json_response
from services.platform.kafka.outlets import OutRecord

__all__ = ["EventsApi"]

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BINARY: Final = "application/json"
_batch: Final = msgspec.json.Decoder(list[Raw]).decode
_RESULTS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer"},
                    "id": {"type": "string"},
                    "status": {"enum": ["accepted", "unchanged", "rejected", "not_taken", "unknown"]},
                    "code": {"type": "string"},
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        }
    },
}
_CLOUDEVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 128},
        "source": {"type": "string", "description": "Id of the registered source whose key is used."},
        "type": {"type": "string", "pattern": r"^sallyport\.custody\.[a-z_]+\.v1$"},
        "traceparent": {
            "type": "string",
            "description": "Where the event's trace began (Distributed Tracing extension).",
        },
        "data": {"type": "object", "description": "custody-event.v1.json; `kind` may be left out."},
    },
}


class EventsApi:
    """The operation and its route."""

    def __init__(self, gate: Gate, settings: IngestSettings) -> None:
        self._gate = gate
        self._settings = settings
        self._max_future = timedelta(hours=settings.max_future_hours)

    def route(self) -> Route:
        return Route(
            "POST",
            "/v1/events",
            self.post,
            "Publish custody events: one CloudEvent, structured or binary, or a batch",
            request={
                STRUCTURED: _CLOUDEVENT,
                BATCH: {"type": "array", "items": _CLOUDEVENT},
                BINARY: "custody-event.v1.json",
            },
            responses={
                202: ("All in-sync replicas have it; of a batch, every event.", _RESULTS),
                207: ("Some events of the batch were taken; `results` says which.", _RESULTS),
                400: ("Not JSON, or broken gzip.", None),
                401: ("No API key, or an unknown one.", None),
                403: ("The source may not speak for that facility.", None),
                413: ("Body or batch too large.", None),
                415: ("Content type or encoding not taken.", None),
                422: ("Not what the contract says; `code` and `field` say what. Of a batch, no event was taken.", None),
                503: ("Kafka is away, or did not acknowledge in time; Retry-After says when to come again.", None),
            },
        )

    async def post(self, request: web.Request) -> web.Response:
        gate = self._gate
        source = gate.source(request)
        raw = b""
        try:
            raw = await gate.body(request, self._settings.max_body_bytes)
            encoding = request.headers.get("Content-Encoding")
            if encoding is not None:
                raw = await inflate(raw, encoding, self._settings.max_inflated_bytes)
            media = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if media == BATCH:
                items = _split(raw)
                if len(items) > self._settings.max_batch_events:
                    limit = self._settings.max_batch_events
                    raise Refused("batch_too_large", f"a batch has at most {limit} events", "$")
                return await self._many(request, source, items)
            if media == STRUCTURED:
                return await self._one(request, source, raw, read_envelope(raw), "$.", "$.data")
            if media == BINARY:
                return await self._one(request, source, raw, _envelope_of(request, raw), "ce-", "$")
            raise Refused("content_type_unsupported", f"want {STRUCTURED}, {BATCH}, or {BINARY} with ce- headers")
        except Refused as refused:
            events("unknown", "rejected").inc()
            return await gate.refuse(raw, refused, request, source)

    def _judge(self, envelope: Envelope, source: Source, now: datetime, attribute: str, data: str) -> Accepted:
        accepted = accept(envelope, source.id, now, self._max_future, attribute, data)
        try:
            self._gate.registry.facility_for(source, accepted.event.facility)
        except Forbidden as error:
            raise Refused("forbidden", str(error), f"{data}.facility") from None
        return accepted

    async def _one(
        self, request: web.Request, source: Source, raw: bytes, envelope: Envelope, attribute: str, data: str
    ) -> web.Response:
        gate = self._gate
        now = gate.now()
        accepted = self._judge(envelope, source, now, attribute, data)
        sending = Sending(CUSTODY_TOPIC, request, source)
        record = event_record(accepted, now, sending.of_event(envelope.traceparent, accepted))
        (error,) = await gate.send((record,))
        status = fate(error)
        sending.end(1, None if error is None else status)
        events(accepted.kind, status).inc()
        if error is not None:
            return gate.not_all_taken([Result(0, status, accepted.id)])
        facility_events(accepted.event.facility).inc()
        return json_response({"id": accepted.id, "status": status}, 202)

    async def _many(self, request: web.Request, source: Source, items: list[Raw]) -> web.Response:
        gate = self._gate
        now = gate.now()
        results: list[Result] = []
        records: list[OutRecord] = []
        owners: list[int] = []  # of each record, the index of its event
        kinds: list[tuple[str, str]] = []  # of each event, its kind and facility
        first: Refused | None = None
        sending = Sending(CUSTODY_TOPIC, request, source)
        for index, item in enumerate(items):
            name: str | None = None
            try:
                envelope = read_envelope(item)
                name = envelope.id or None
                accepted = self._judge(envelope, source, now, "$.", "$.data")
            except Refused as refused:
                first = first or refused
                results.append(Result(index, "rejected", name, refused.code, refused.field, refused.detail))
                kept = gate.rejects(bytes(item), refused, request, source, now)
                records += kept
                owners += [index] * len(kept)
                kinds.append(("unknown", ""))
            else:
                results.append(Result(index, "accepted", name))
                records.append(event_record(accepted, now, sending.of_event(envelope.traceparent, accepted)))
                owners.append(index)
                kinds.append((accepted.kind, accepted.event.facility))
        failed = False
        for owner, error in zip(owners, await gate.send(records), strict=True):
            if error is not None:
                failed = True
                results[owner].status = fate(error)
        sending.end(len(records), "not_all_taken" if failed else None)
        for (kind, facility), result in zip(kinds, results, strict=True):
            events(kind, result.status).inc()
            if result.status == "accepted":
                facility_events(facility).inc()
        if failed:
            return gate.not_all_taken(results)
        if first is None:
            return json_response({"results": results}, 202)
        if all(result.status == "rejected" for result in results):
            return answer_refusal(Refused("batch_rejected", "no event was taken", first.field), results)
        return json_response({"results": results}, 207)


def _split(raw: bytes) -> list[Raw]:
    try:
        return _batch(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refusal_of(error) from None


def _envelope_of(request: web.Request, raw: bytes) -> Envelope:
    """Binary mode: attributes in headers, percent-encoded (CloudEvents HTTP binding, 3.1.3.2)."""
    headers = request.headers
    if any("\udc80" <= c <= "\udcff" for c in headers.get("ce-id", "")):  # how aiohttp hands on what is not UTF-8
        raise Refused("invalid_value", "the header is not UTF-8", "ce-id")
    traceparent = valid(unquote(headers.get("ce-traceparent", "")))
    return Envelope(
        specversion=headers.get("ce-specversion", ""),
        id=unquote(headers.get("ce-id", "")),
        source=unquote(headers.get("ce-source", "")),
        type=unquote(headers.get("ce-type", "")),
        data=Raw(raw),
        traceparent=Raw(f'"{traceparent}"'.encode()) if traceparent is not None else UNSET,
    )
