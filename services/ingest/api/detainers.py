"""POST /v1/detainers: agencies lodge, amend and end their detainers. See docs/ingest.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Raw

from contracts.types.detainer import Detainer, DetainerCommand
from contracts.types.registry import Source
from services.ingest.adapters.detainer_table import DetainerTable
from services.ingest.adapters.records import DETAINERS_TOPIC, detainer_record
from services.ingest.api.gate import Gate, Result, answer_refusal, fate, inflate
from services.ingest.api.traces import Sending
from services.ingest.domain.detainers import decide, id_of, read_command
from services.ingest.domain.refusal import Refused
from services.ingest.domain.strict import refusal_of
from services.ingest.metrics import DETAINER_COMMANDS, DETAINERS
from services.ingest.settings import IngestSettings
from services.platform.errors import Forbidden, Unavailable
from services.platform.http.edge import Route
from services.platform.http.problems import json_response
from services.platform.kafka.outlets import OutRecord

__all__ = ["DetainersApi"]

_batch: Final = msgspec.json.Decoder(list[Raw]).decode
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "detainer_id": {"type": "string"},
        "status": {"enum": ["accepted", "unchanged"]},
        "results": {"type": "array", "items": {"type": "object"}},
    },
}


class DetainersApi:
    """The operation and its route."""

    def __init__(self, gate: Gate, table: DetainerTable, settings: IngestSettings) -> None:
        self._gate = gate
        self._table = table
        self._settings = settings
        self._max_future = timedelta(hours=settings.max_future_hours)

    def route(self) -> Route:
        return Route(
            "POST",
            "/v1/detainers",
            self.post,
            "Lodge, amend, lift, withdraw or supersede detainers, report one declined, or custody assumed; "
            "one command, or an array of them",
            request={"application/json": "detainer-command.v1.json"},
            responses={
                202: ("All in-sync replicas have it; or it was so already (`unchanged`).", _ANSWER),
                207: ("Some commands of the batch were taken; `results` says which.", _ANSWER),
                400: ("Not JSON, or broken gzip.", None),
                401: ("No API key, or an unknown one.", None),
                403: ("The source does not speak for that agency.", None),
                404: ("No detainer of that reference.", None),
                409: ("detainer_exists, detainer_ended or stale_version.", None),
                413: ("Body or batch too large.", None),
                415: ("Content type or encoding not taken.", None),
                422: ("Not what the contract says; `code` and `field` say what.", None),
                503: ("Kafka is away, or did not acknowledge in time; Retry-After says when to come again.", None),
            },
        )

    async def post(self, request: web.Request) -> web.Response:
        gate = self._gate
        source = gate.source(request)
        if (waiting := self._table.check()) is not None:
            raise Unavailable(f"starting: {waiting}", 1)
        raw = b""
        try:
            raw = await gate.body(request, self._settings.max_body_bytes)
            raw = await inflate(raw, request.headers.get("Content-Encoding"), self._settings.max_inflated_bytes)
            if request.content_type != "application/json":
                raise Refused("content_type_unsupported", "want application/json")
            many = raw.lstrip(b" \t\r\n")[:1] == b"["
            items = _split(raw) if many else [Raw(raw)]
            if len(items) > self._settings.max_batch_events:
                limit = self._settings.max_batch_events
                raise Refused("batch_too_large", f"a batch has at most {limit} commands", "$")
        except Refused as refused:
            return await gate.refuse(raw, refused, request, source)
        read = [self._read(item, source) for item in items]
        results, refusals = await self._carry_out(request, source, items, read)
        if any(result.status in ("not_taken", "unknown") for result in results):
            return gate.not_all_taken(results)
        if not many:
            if refusals:
                return answer_refusal(refusals[0])
            return json_response({"detainer_id": results[0].id, "status": results[0].status}, 202)
        if not refusals:
            return json_response({"results": results}, 202)
        if len(refusals) == len(results):
            return answer_refusal(Refused("batch_rejected", "no command was taken", refusals[0].field), results)
        return json_response({"results": results}, 207)

    def _read(self, item: Raw, source: Source) -> DetainerCommand | Refused:
        try:
            command = read_command(item)
            self._gate.registry.agency_for(source, command.agency)
        except Forbidden as error:
            return Refused("forbidden", str(error), "$.agency")
        except Refused as refused:
            return refused
        return command

    async def _carry_out(
        self, request: web.Request, source: Source, items: Sequence[Raw], read: Sequence[DetainerCommand | Refused]
    ) -> tuple[list[Result], list[Refused]]:
        """Decide and write, in the order of the commands; nobody else changes these detainers meanwhile."""
        gate, table = self._gate, self._table
        ids = [id_of(entry) if not isinstance(entry, Refused) else None for entry in read]
        results: list[Result] = []
        refusals: list[Refused] = []
        records: list[OutRecord] = []
        owners: list[int] = []
        sending = Sending(DETAINERS_TOPIC, request, source)
        async with table.holding([i for i in ids if i is not None]):
            now = gate.now()
            within: dict[str, Detainer] = {}  # versions that this very request makes
            for index, (item, entry, name) in enumerate(zip(items, read, ids, strict=True)):
                refused: Refused | None = None
                if isinstance(entry, Refused) or name is None:
                    refused = entry if isinstance(entry, Refused) else None
                else:
                    try:
                        version = decide(entry, within.get(name) or table.get(name), now, self._max_future)
                    except Refused as conflict:
                        refused = conflict
                    else:
                        results.append(Result(index, "accepted" if version else "unchanged", name))
                        if version is not None:
                            within[name] = version
                            records.append(detainer_record(version, source.id, sending.traceparent))
                            owners.append(index)
                if refused is not None:
                    refusals.append(refused)
                    results.append(Result(index, "rejected", name, refused.code, refused.field, refused.detail))
                    kept = gate.rejects(bytes(item), refused, request, source, now)
                    records += kept
                    owners += [index] * len(kept)
            for owner, record, error in zip(owners, records, await gate.send(records), strict=True):
                if error is not None:
                    results[owner].status = fate(error)
                elif results[owner].status == "accepted" and record.value is not None:
                    table.put(record.key, record.value)  # read your writes: the topic tells us only later
            DETAINERS.set(len(table))
        lost = next((result.status for result in results if result.status in ("not_taken", "unknown")), None)
        sending.end(len(records), lost)
        for entry, result in zip(read, results, strict=True):
            action = "unknown" if isinstance(entry, Refused) else str(type(entry).__struct_config__.tag)
            DETAINER_COMMANDS.labels(action, result.status).inc()
        return results, refusals


def _split(raw: bytes) -> list[Raw]:
    try:
        return _batch(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refusal_of(error) from None
