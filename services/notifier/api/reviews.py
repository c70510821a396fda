"""The reviewers' console: hits that are only possible, and a person's decision on one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta, Raw, Struct

from contracts.types.conflict import Decision, ReviewStatus, Stage
from services.notifier.adapters.decisions import Decisions
from services.notifier.adapters.postgres import decisions as decided
from services.notifier.adapters.postgres import reviews as store
from services.notifier.adapters.postgres.decisions import (
    Asked,
    DecisionOvertaken,
    Recorded,
    ReviewChanged,
    ReviewClosed,
)
from services.notifier.api.edge import PAGING, Desk, limit_of, not_found, one_of, page_of
from services.platform import tracing
from services.platform.http.edge import Route
from services.platform.http.problems import json_response, problem

__all__ = ["Reviews"]

_ERRORS: Final[dict[int, tuple[str, None]]] = {
    401: ("No API key, or one that is not known.", None),
    403: ("The key speaks for no reviewer.", None),
    503: ("The database or Kafka does not answer; try again.", None),
}
_MISSING: Final[dict[int, tuple[str, None]]] = {404: ("No such review.", None)}
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_STATUSES: Final = [str(s) for s in ReviewStatus]
_LINE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["review_id", "version", "status", "stage", "facility", "agency", "conflict_id", "decided_at"],
    "properties": {
        "review_id": {"type": "string"},
        "version": {"type": "integer"},
        "status": {"type": "string", "enum": _STATUSES},
        "stage": {"type": "string", "enum": [str(s) for s in Stage]},
        "facility": {"type": "string"},
        "agency": {"type": "string"},
        "conflict_id": {"type": "string"},
        "decided_at": _TIME | {"description": "When the matcher made this version."},
    },
}
_DECISION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["decision_id", "decision"],
    "properties": {
        "decision_id": {"type": "string"},
        "decision": {"type": "object", "description": "The decision on record (review-decision.v1)."},
    },
}
_REVIEW: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["review", "decisions"],
    "properties": {
        "review": {"type": "object", "description": "The newest version, with both sides (review.v1)."},
        "decisions": {
            "type": "array",
            "description": "All decisions on it, the oldest first; the newest on the same evidence counts.",
            "items": _DECISION
            | {
                "required": ["decision_id", "decision", "sent"],
                "properties": _DECISION["properties"]
                | {"sent": {"type": "boolean", "description": "Kafka has it, for the matcher to act on."}},
            },
        },
    },
}
_ASKED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["version", "decision", "reason", "reviewer"],
    "additionalProperties": False,
    "properties": {
        "version": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "description": "That the reviewer saw."},
        "decision": {"type": "string", "enum": [str(d) for d in Decision]},
        "reason": {"type": "string", "maxLength": 500, "pattern": r"\S"},
        "reviewer": {"type": "string", "maxLength": 200, "pattern": r"\S", "description": "Who decides."},
    },
}


class NewDecision(Struct, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    decision: Decision
    reason: Annotated[str, Meta(max_length=500, pattern=r"\S")]
    reviewer: Annotated[str, Meta(max_length=200, pattern=r"\S")]


class Taken(Struct, frozen=True):
    """The answer to a decision."""

    decision_id: str
    decision: Raw


class OnRecord(Struct, frozen=True):
    decision_id: str
    decision: Raw
    sent: bool


class ReviewView(Struct, frozen=True):
    review: Raw
    decisions: list[OnRecord]


class Reviews:
    """The operations. Every one is for sources that the registry names as reviewers, and for no other."""

    def __init__(self, desk: Desk, decisions: Decisions) -> None:
        self._desk = desk
        self._decisions = decisions

    def routes(self) -> list[Route]:
        guarded = self._desk.guarded
        page = page_of("reviews", _LINE)
        return [
            Route(
                "GET",
                "/v1/reviews",
                guarded(self.page),
                "Reviews, the oldest first; nothing of the person.",
                query={
                    "status": ({"type": "string", "enum": _STATUSES}, "Only these."),
                    **PAGING,
                },
                responses={200: ("A page.", page), 422: ("A parameter is wrong.", None), **_ERRORS},
            ),
            Route(
                "GET",
                "/v1/reviews/{review_id}",
                guarded(self.read),
                "One review, with both sides, the evidence, and what was decided.",
                responses={200: ("It.", _REVIEW), **_MISSING, **_ERRORS},
            ),
            Route(
                "POST",
                "/v1/reviews/{review_id}/decision",
                guarded(self.decide),
                "Decide: it is the person, or it is not. Asked again, it is the same decision.",
                request={"application/json": _ASKED},
                responses={
                    202: ("On record, and on its way to the matcher.", _DECISION),
                    409: (
                        "review_changed: it has another version now, `newest`. review_closed: it is withdrawn. "
                        "decision_overtaken: asked again, and decided otherwise in between.",
                        None,
                    ),
                    422: ("Not a decision.", None),
                    **_MISSING,
                    **_ERRORS,
                },
            ),
        ]

    async def page(self, request: web.Request) -> web.Response:
        self._desk.reviewer(request)
        query = request.query
        found = await store.page(
            self._desk.pool(),
            status=one_of("status", query.get("status"), _STATUSES),
            limit=limit_of(query.get("limit", "50")),
            cursor=query.get("cursor"),
        )
        return json_response(found)

    async def read(self, request: web.Request) -> web.Response:
        self._desk.reviewer(request)
        name, pool = request.match_info["review_id"], self._desk.pool()
        review = await store.get(pool, name)
        if review is None:
            return not_found("review")
        found = await decided.listed(pool, name)
        return json_response(ReviewView(review, [OnRecord(d.decision_id, d.body, d.sent) for d in found]))

    async def decide(self, request: web.Request) -> web.Response:
        source = self._desk.reviewer(request)
        asked: NewDecision = await self._desk.body(request, NewDecision)
        try:
            recorded = await self._decisions.decide(
                Asked(
                    request.match_info["review_id"],
                    asked.version,
                    asked.decision,
                    asked.reason,
                    asked.reviewer,
                    source.id,
                    tracing.upstream(request.headers.get("traceparent")),
                )
            )
        except ReviewChanged as changed:
            return problem(409, changed.reason, changed.detail, changed.field, newest=changed.newest)
        except (ReviewClosed, DecisionOvertaken) as refused:
            return problem(409, refused.reason, refused.detail)
        return _taken(recorded) if recorded is not None else not_found("review")


def _taken(recorded: Recorded) -> web.Response:
    return json_response(Taken(recorded.decision_id, recorded.body), 202)
