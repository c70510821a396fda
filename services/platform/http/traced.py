"""The server's span of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

from contracts.traceparent import valid
from services.platform import tracing
from services.platform.tracing import Kind

__all__ = ["traced"]


def traced(untraced: Collection[str]) -> list[Any]:
    """The middleware that begins and ends it, the outermost of all; none where nothing is recorded.

    untraced: paths that are asked for every few seconds. Nor is a path traced that is not there.
    """
    if not tracing.is_on():
        return []
    left_out = frozenset(untraced)

    @web.middleware
    async def span_of(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None or resource.canonical in left_out:
            return await handler(request)
        span = tracing.begin(
            f"{request.method} {resource.canonical}",
            Kind.SERVER,
            valid(request.headers.get("traceparent")),
            {"http.request.method": request.method, "http.route": resource.canonical},
        )
        error: str | None = "cut_off"
        try:
            with tracing.scope(span):
                response = await handler(request)
            error = str(response.status) if response.status >= 500 else None
            span.note({"http.response.status_code": response.status})
            return response
        finally:
            span.end(error)

    return [span_of]
