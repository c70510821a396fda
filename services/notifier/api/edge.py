"""What the two parts of the API share: who asks, and how a body is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
from aiohttp import web

from contracts.types.registry import Source
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.platform.errors import ContractViolation, Unavailable
from services.platform.http.edge import Handler, read_body
from services.platform.http.problems import problem
from services.platform.registry import RegistryTable

__all__ = ["Desk", "not_found"]


class Desk:
    """Authentication, the pool, and answers for a database that is away."""

    def __init__(self, registry: RegistryTable, pool: Callable[[], Pool]) -> None:
        self._registry = registry
        self.pool = pool

    def agency(self, request: web.Request) -> str:
        """The agency that asks. Raises Unauthenticated, Forbidden for a source that speaks for none, or Unavailable
        while the registry is not read yet, so that nobody could be known."""
        if not self._registry.restored:
            raise Unavailable("starting: the registry is not read yet", 1)
        registry = self._registry.registry
        source: Source = registry.authenticate(request.headers.get("Authorization"))
        return registry.agency_for(source).id

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
