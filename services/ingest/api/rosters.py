"""POST /v1/rosters/{facility}: a snapshot of everybody in custody becomes events. See docs/ingest.md."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from contracts.types.registry import Facility, Source
from services.ingest.adapters.records import CUSTODY_TOPIC
from services.ingest.adapters.roster_store import Compute, RosterStore, Stamp
from services.ingest.api.gate import Gate, inflate
from services.ingest.api.traces import Sending
from services.ingest.domain.refusal import Refused
from services.ingest.domain.roster.compare import Counts, Delta, Head, Known, Post, compare
from services.ingest.domain.roster.rows import read_snapshot
from services.ingest.domain.roster.times import instant_of, parse_time
from services.ingest.metrics import ROSTER_EVENTS, ROSTER_SECONDS, ROSTERS, SOURCE_REJECTS, facility_events
from services.ingest.settings import IngestSettings
from services.platform.errors import Forbidden, SallyportError
from services.platform.http.edge import Route
from services.platform.http.problems import json_response
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS

__all__ = ["RostersApi"]

log = get_logger(__name__)
_GZIP: Final = b"\x1f\x8b"
_EDGE: Final = "POST /v1/rosters/{facility}"
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["facility", "snapshot_at"],
    "properties": {
        "facility": {"type": "string"},
        "snapshot_at": {"type": "string", "format": "date-time"},
        **{name: {"type": "integer"} for name in Counts.__struct_fields__ if name not in ("repeated", "stale")},
        "repeated": {"type": "boolean", "description": "This very snapshot was taken before."},
        "stale": {"type": "boolean", "description": "The same content as the last snapshot, at a later time."},
    },
}


class RostersApi:
    """The operation and its route."""

    def __init__(self, gate: Gate, store: RosterStore, settings: IngestSettings) -> None:
        self._gate = gate
        self._store = store
        self._settings = settings

    def route(self) -> Route:
        return Route(
            "POST",
            "/v1/rosters/{facility}",
            self.post,
            "Send a roster file, CSV, plain or gzip; what has changed since the last one becomes custody events",
            request={"text/csv": {"type": "string"}, "application/gzip": {"type": "string", "format": "binary"}},
            query={
                "snapshot_at": (
                    {"type": "string"},
                    "When the snapshot was taken, ISO 8601; without an offset, the facility's time. Absent: now.",
                ),
                "force": (
                    {"type": "boolean"},
                    "An operator has looked: take it although it is small, and withhold no release.",
                ),
            },
            responses={
                200: ("Taken, all of it in one transaction: what it led to.", _ANSWER),
                400: ("Broken gzip.", None),
                401: ("No API key, or an unknown one.", None),
                403: ("The source may not speak for that facility.", None),
                409: ("snapshot_out_of_order: there is a later one.", None),
                413: ("File too large.", None),
                415: ("Content encoding not taken.", None),
                422: ("The file cannot be read, or seems half-sent (snapshot_too_small). Nothing was taken.", None),
                503: ("Kafka is away, or another snapshot of the facility is under way; send it again.", None),
            },
        )

    async def post(self, request: web.Request) -> web.Response:
        gate, settings = self._gate, self._settings
        source = gate.source(request)
        raw = b""
        begun = time.perf_counter()
        try:
            raw = await gate.body(request, settings.max_roster_bytes)
            facility = self._facility(request, source)
            force = _flag(request.query.get("force"))
            now = gate.now()
            at = _time_of(request.query.get("snapshot_at"), now)
            # A file that was compressed at rest, as most are kept, need not be declared.
            encoding = request.headers.get("Content-Encoding") or ("gzip" if raw.startswith(_GZIP) else None)
            file = await inflate(raw, encoding, settings.max_roster_inflated_bytes)
            compute = partial(self._compute, file, facility, at, source.id, force, now)
            delta = await self._take(request, source, facility, now, compute)
        except Refused as refused:
            ROSTERS.labels("rejected").inc()
            log.warning("roster_refused", source=source.id, code=refused.code)
            return await gate.refuse(raw, refused, request, source)
        ROSTER_SECONDS.observe(time.perf_counter() - begun)
        _tell(facility.id, source.id, delta)
        body = {"facility": facility.id, "snapshot_at": delta.snapshot_at} | msgspec.structs.asdict(delta.counts)
        return json_response(body, 200)

    async def _take(
        self, request: web.Request, source: Source, facility: Facility, now: datetime, compute: Compute
    ) -> Delta:
        """Raises as RosterStore.take."""
        sending = Sending(CUSTODY_TOPIC, request, source)
        try:
            stamp = Stamp(source.id, now, _EDGE, "text/csv", sending.traceparent)
            delta = await self._store.take(facility.id, stamp, compute)
        except (Refused, SallyportError) as error:
            sending.end(0, error.code)
            raise
        sending.end(len(delta.events) + len(delta.rejects))
        return delta

    def _facility(self, request: web.Request, source: Source) -> Facility:
        try:
            facility = self._gate.registry.facility_for(source, request.match_info["facility"])
        except Forbidden as error:
            raise Refused("forbidden", str(error), "facility") from None
        if facility.roster is None:
            raise Refused("roster_not_configured", "the registry has no roster mapping for this facility", "facility")
        return facility

    def _compute(
        self,
        file: bytes,
        facility: Facility,
        at: datetime,
        source: str,
        force: bool,
        now: datetime,
        head: Head | None,
        known: dict[str, Known],
    ) -> Delta:
        """Read the file and compare it; in a thread, for it takes some 15 µs a row."""
        if facility.roster is None:
            raise AssertionError("checked before")
        snapshot_at = instant_of(at, ZoneInfo(facility.time_zone), head.snapshot_at if head is not None else None)
        if snapshot_at > now + timedelta(hours=self._settings.max_future_hours):
            raise Refused("snapshot_in_future", "snapshot_at lies in the future", "snapshot_at")
        post = Post(
            facility=facility.id,
            source=source,
            snapshot_at=snapshot_at,
            min_rows_ratio=facility.roster.min_rows_ratio,
            remember=timedelta(days=self._settings.roster_remember_days),
            force=force,
        )
        return compare(read_snapshot(file, facility, facility.roster, snapshot_at), post, head, known)


def _tell(facility: str, source: str, delta: Delta) -> None:
    counts = delta.counts
    outcome = "repeated" if counts.repeated else "stale" if counts.stale else "taken"
    ROSTERS.labels(outcome).inc()
    for kind in ("booked", "updated", "inferred_released", "voided", "unchanged", "withheld"):
        ROSTER_EVENTS.labels(kind).inc(getattr(counts, kind))
    for _, refused in delta.rejects:
        REJECTS.labels(refused.code).inc()
        SOURCE_REJECTS.labels(source).inc()
    facility_events(facility).inc(len(delta.events))
    log.info(
        "roster_taken", facility=facility, source=source, outcome=outcome, rows=counts.rows, count=len(delta.events)
    )
    if counts.withheld:
        # Somebody may have been released without anybody being told of it yet.
        log.warning("releases_withheld", facility=facility, count=counts.withheld, reason="unreadable rows")


def _flag(text: str | None) -> bool:
    match (text or "false").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise Refused("invalid_value", "force may be true or false", "force")


def _time_of(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now
    try:
        # An unescaped + of an offset arrives as a blank.
        return parse_time(text.strip().replace(" ", "+") if "T" in text else text.strip(), None)
    except ValueError:
        raise Refused("invalid_value", "snapshot_at must be a time in ISO 8601", "snapshot_at") from None
