"""Errors over HTTP: problem+json (RFC 9457), with the reason code and the field at fault."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from services.platform.errors import (
    ContractViolation,
    Forbidden,
    SallyportError,
    Unauthenticated,
    Unavailable,
)

__all__ = ["PROBLEM_SCHEMA", "json_response", "problem", "problem_of"]

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Reason code, the same as in rejects.v1."},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "JSON path, header or column at fault."},
    },
}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Any msgspec-encodable value as JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)


def problem(
    status: int,
    code: str,
    detail: str = "",
    field: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """An answer that says what is wrong: `code` for programs, `detail` for people, `field` where."""
    body: dict[str, Any] = {
        "type": f"urn:sallyport:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
    }
    if detail:
        body["detail"] = detail
    if field:
        body["field"] = field
    return web.Response(
        body=msgspec.json.encode(body | more),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def problem_of(error: SallyportError) -> web.Response:
    """The answer that belongs to one of our own errors."""
    match error:
        case ContractViolation():
            return problem(422, error.reason, error.detail, error.field)
        case Unauthenticated():
            return problem(401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"})
        case Forbidden():
            return problem(403, error.code, str(error))
        case Unavailable():
            return problem(503, error.code, str(error), headers={"Retry-After": str(error.retry_after_s)})
        case _:
            return problem(500, error.code)
