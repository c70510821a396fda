"""What the parts of the API share: who asks, how a body and parameters are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import web

from contracts.types.registry import Source
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.platform.errors import ContractViolation, Unavailable
from services.platform.http.edge import Handler, read_body
from services.platform.http.problems import problem
from services.platform.registry import RegistryTable

__all__ = ["PAGING", "Desk", "limit_of", "not_found", "one_of", "page_of"]

_MAX_LIMIT: Final = 200
PAGING: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 50}, "Most on a page."),
    "cursor": ({"type": "string"}, "next_cursor of the page before."),
}
"""Query parameters of whatever comes in pages."""


def page_of(name: str, item: dict[str, Any]) -> dict[str, Any]:
    """The schema of a page: items under `name`, and the cursor of the next."""
    return {
        "type": "object",
        "required": [name, "next_cursor"],
        "properties": {
            name: {"type": "array", "items": item},
            "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last."},
        },
    }


class Desk:
    """Authentication, the pool, and answers for a database that is away."""

    def __init__(self, registry: RegistryTable, pool: Callable[[], Pool]) -> None:
        self._registry = registry
        self.pool = pool

    def agency(self, request: web.Request) -> str:
        """The agency that asks. Raises Unauthenticated, Forbidden for a source that speaks for none, or Unavailable
        while the registry is not read yet, so that nobody could be known."""
        return self._registry.registry.agency_for(self._source(request)).id

    def reviewer(self, request: web.Request) -> Source:
        """The source that asks for a reviewer. Raises as `agency`, Forbidden for one that is no reviewer's."""
        return self._registry.registry.reviewer(self._source(request))

    def _source(self, request: web.Request) -> Source:
        if not self._registry.restored:
            raise Unavailable("starting: the registry is not read yet", 1)
        return self._registry.registry.authenticate(request.headers.get("Authorization"))

    def guarded(self, handler: Handler) -> Handler:
        """The handler, answering 503 while PostgreSQL is away."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except AWAY as error:
                raise Unavailable("the ledger does not answer") from error
            except asyncpg.DataError:
                # What no text or time of PostgreSQL can be, such as a NUL in an id, names nothing that is there.
                raise ContractViolation("parameter_invalid", "holds what cannot be looked for") from None

        return answer

    @staticmethod
    async def body(request: web.Request, kind: Any) -> Any:
        """The JSON body as `kind`. Raises ContractViolation with the path of the field at fault."""
        raw = await read_body(request)
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError as error:
            detail = str(error)
            raise ContractViolation("body_invalid", detail, _path(detail)) from None
        except (msgspec.DecodeError, ValueError):
            raise ContractViolation("body_not_json", "the body is not JSON") from None


def _path(detail: str) -> str | None:
    """msgspec ends its message with "- at `$.path`"."""
    _, found, rest = detail.rpartition("- at `")
    return rest.rstrip("`") if found else None


def not_found(what: str) -> web.Response:
    """For what is not there, and for what is another's: the answer does not tell which."""
    return problem(404, f"{what}_unknown", f"no such {what}")


def one_of(name: str, value: str | None, allowed: Sequence[str]) -> str | None:
    """A parameter that has to be one of `allowed`, where it is given. Raises ContractViolation."""
    if value is not None and value not in allowed:
        raise ContractViolation("parameter_invalid", f"one of {', '.join(allowed)}", name)
    return value


def limit_of(value: str) -> int:
    """How many a page is to hold. Raises ContractViolation."""
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= _MAX_LIMIT:
        raise ContractViolation("parameter_invalid", f"a whole number from 1 to {_MAX_LIMIT}", "limit")
    return int(value)
