"""GET /v1/notices, acknowledgement, and having a delivery sent again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from contracts.types.conflict import Stage
from contracts.types.notice import NoticeStatus
from services.notifier.adapters.postgres import notices as store
from services.notifier.api.edge import PAGING, Desk, limit_of, not_found, one_of, page_of
from services.platform.errors import ContractViolation
from services.platform.http.edge import Route
from services.platform.http.problems import json_response, problem

__all__ = ["Notices"]

_ERRORS: Final[dict[int, tuple[str, None]]] = {
    401: ("No API key, or one that is not known.", None),
    403: ("The key speaks for no agency.", None),
    503: ("The ledger does not answer; try again.", None),
}
_MISSING: Final[dict[int, tuple[str, None]]] = {404: ("No such notice of this agency.", None)}
_TIME: Final[dict[str, Any]] = {"type": ["string", "null"], "format": "date-time"}
_NOTICE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["notice_id", "conflict_id", "version", "stage", "status", "created_at", "notice"],
    "properties": {
        "notice_id": {"type": "string"},
        "conflict_id": {"type": "string"},
        "version": {"type": "integer"},
        "stage": {"type": "string", "enum": [str(s) for s in Stage]},
        "status": {"type": "string", "enum": [str(s) for s in NoticeStatus]},
        "created_at": {"type": "string", "format": "date-time"},
        "notice": {"type": "object", "description": "The webhook's body (notice.v1)."},
        "acknowledgement": {"type": ["string", "null"], "enum": ["received", "will_pick_up", "declined", None]},
        "acknowledged_at": _TIME,
        "deliveries": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "delivery_id": {"type": "string"},
                    "subscription_id": {"type": "string"},
                    "channel": {"type": "string"},
                    "status": {"type": "string", "enum": ["pending", "delivered", "failed", "superseded"]},
                    "next_attempt_at": _TIME,
                    "attempts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "attempt": {"type": "integer"},
                                "started_at": {"type": "string", "format": "date-time"},
                                "finished_at": _TIME,
                                "outcome": {
                                    "type": ["string", "null"],
                                    "enum": ["delivered", "failed", "interrupted", None],
                                },
                                "http_status": {"type": ["integer", "null"]},
                                "error": {"type": ["string", "null"]},
                            },
                        },
                    },
                },
            },
        },
    },
}
_ACKNOWLEDGEMENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["response"],
    "additionalProperties": False,
    "properties": {
        "response": {"type": "string", "enum": ["received", "will_pick_up", "declined"]},
        "note": {"type": ["string", "null"], "maxLength": 500},
    },
}


class Acknowledgement(Struct, forbid_unknown_fields=True):
    response: Literal["received", "will_pick_up", "declined"]
    note: Annotated[str, Meta(max_length=500)] | None = None


class Notices:
    """The operations. changed: called when deliveries may have become due, or events wait in the outbox."""

    def __init__(self, desk: Desk, *, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._changed = changed

    def routes(self) -> list[Route]:
        guarded = self._desk.guarded
        page = page_of("notices", _NOTICE)
        return [
            Route(
                "GET",
                "/v1/notices",
                guarded(self.page),
                "The agency's notices, newest first.",
                query={
                    "status": ({"type": "string", "enum": [str(s) for s in NoticeStatus]}, "Only these."),
                    "stage": ({"type": "string", "enum": [str(s) for s in Stage]}, "Only these."),
                    "since": ({"type": "string", "format": "date-time"}, "Made at this time or later."),
                    **PAGING,
                },
                responses={200: ("A page.", page), 422: ("A parameter is wrong.", None), **_ERRORS},
            ),
            Route(
                "GET",
                "/v1/notices/{notice_id}",
                guarded(self.read),
                "One notice, with its deliveries and every attempt.",
                responses={200: ("It.", _NOTICE), **_MISSING, **_ERRORS},
            ),
            Route(
                "POST",
                "/v1/notices/{notice_id}/acknowledge",
                guarded(self.acknowledge),
                "The agency's answer; it stops what has not been sent yet.",
                request={"application/json": _ACKNOWLEDGEMENT},
                responses={200: ("Recorded.", _NOTICE), 422: ("Not an answer.", None), **_MISSING, **_ERRORS},
            ),
            Route(
                "POST",
                "/v1/deliveries/{delivery_id}/retry",
                guarded(self.retry),
                "Attempt a delivery again, now.",
                responses={
                    202: ("It will be attempted.", {"type": "object", "properties": {"was": {"type": "string"}}}),
                    404: ("No such delivery of this agency.", None),
                    409: ("Under way, or superseded.", None),
                    **_ERRORS,
                },
            ),
        ]

    async def page(self, request: web.Request) -> web.Response:
        agency = self._desk.agency(request)
        query = request.query
        found = await store.page(
            self._desk.pool(),
            agency,
            status=one_of("status", query.get("status"), [str(s) for s in NoticeStatus]),
            stage=one_of("stage", query.get("stage"), [str(s) for s in Stage]),
            since=_instant(query.get("since")),
            limit=limit_of(query.get("limit", "50")),
            cursor=query.get("cursor"),
        )
        return json_response(found)

    async def read(self, request: web.Request) -> web.Response:
        found = await store.get(self._desk.pool(), self._desk.agency(request), request.match_info["notice_id"])
        return json_response(found) if found else not_found("notice")

    async def acknowledge(self, request: web.Request) -> web.Response:
        agency = self._desk.agency(request)
        asked = await self._desk.body(request, Acknowledgement)
        found = await store.acknowledge(
            self._desk.pool(), agency, request.match_info["notice_id"], asked.response, asked.note, datetime.now(UTC)
        )
        self._changed()
        return json_response(found) if found else not_found("notice")

    async def retry(self, request: web.Request) -> web.Response:
        agency = self._desk.agency(request)
        try:
            was = await store.retry(self._desk.pool(), agency, request.match_info["delivery_id"], datetime.now(UTC))
        except ContractViolation as violation:
            return problem(409, violation.reason, violation.detail)
        self._changed()
        return json_response({"was": was}, 202) if was else not_found("delivery")


def _instant(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        # In a query "+" is a blank, and few senders escape it.
        at = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ContractViolation("parameter_invalid", "a time with an offset (RFC 3339)", "since")
    return at
