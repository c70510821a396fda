"""The server: routes that describe themselves, health, metrics, OpenAPI, and a drain that has a deadline."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import prometheus_client
from aiohttp import web

from contracts.catalog import schema_under
from services.platform.errors import SallyportError
from services.platform.health import Health
from services.platform.http.problems import PROBLEM_SCHEMA, json_response, problem, problem_of
from services.platform.http.traced import traced
from services.platform.logs import get_logger
from services.platform.metrics import HTTP_REQUESTS, HTTP_SECONDS

__all__ = ["Edge", "Handler", "Route", "read_body"]

log = get_logger(__name__)
READ_DEADLINE_S = 60.0
"""Seconds that a sender may take for a body; a roster over a slow line is the longest."""
_VERDICT: dict[str, Any] = {
    "type": "object",
    "required": ["ok", "wrong"],
    "properties": {
        "ok": {"type": "boolean"},
        "wrong": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One operation, and what OpenAPI says of it.

    request: media type -> JSON Schema, or the file name of a contract's schema.
    responses: status -> (what it means, JSON Schema or None).
    query: name -> (JSON Schema, description).
    """

    method: str
    path: str
    handler: Handler
    summary: str
    request: Mapping[str, Mapping[str, Any] | str] = field(default_factory=dict)
    responses: Mapping[int, tuple[str, Mapping[str, Any] | str | None]] = field(default_factory=dict)
    query: Mapping[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    secured: bool = True


class Edge:
    """The HTTP server of a service, in the event loop of its Kafka clients.

    max_body_bytes: a larger body is refused with 413 before it is read whole. bearer: what the token of a secured
    route is, for OpenAPI.
    """

    def __init__(
        self,
        title: str,
        health: Health,
        *,
        host: str,
        port: int,
        routes: Sequence[Route] = (),
        max_body_bytes: int = 1024 * 1024,
        bearer: str = "API key of a registered source.",
    ) -> None:
        self._title = title
        self._bearer = bearer
        self._health = health
        self._host, self._port = host, port
        own = self._own_routes()
        self._routes = [*routes, *own]
        middlewares = [*traced([route.path for route in own]), _answer_errors]
        self._app = web.Application(client_max_size=max_body_bytes, middlewares=middlewares)
        for route in self._routes:
            self._app.router.add_route(route.method, route.path, route.handler)
        self._runner: web.AppRunner | None = None
        self.port = port

    def _own_routes(self) -> list[Route]:
        """What every edge has, for whoever operates it; open, since it is not reachable from outside."""
        wrong = "`wrong` says what is, by check."
        return [
            Route(
                "GET",
                "/livez",
                self._livez,
                "Whether a restart would not help: the consumers move, or idle rightly",
                responses={200: ("Alive.", _VERDICT), 503: (f"Not alive; {wrong}", _VERDICT)},
                secured=False,
            ),
            Route(
                "GET",
                "/readyz",
                self._readyz,
                "Whether it can do its work now: restored, migrated",
                responses={200: ("Ready.", _VERDICT), 503: (f"Not ready; {wrong}", _VERDICT)},
                secured=False,
            ),
            Route(
                "GET",
                "/metrics",
                self._metrics,
                "Metrics in the text format of Prometheus",
                responses={200: ("The metrics, text/plain.", None)},
                secured=False,
            ),
            Route(
                "GET",
                "/openapi.json",
                self._openapi,
                "This document",
                responses={200: ("The OpenAPI 3.1 document of this edge.", {"type": "object"})},
                secured=False,
            ),
        ]

    async def start(self) -> None:
        """Listen. `port` is the real one from then on."""
        # Compressed bodies are left to the service: aiohttp would answer broken ones by itself, and not as a problem.
        self._runner = web.AppRunner(
            self._app, access_log=None, handle_signals=False, auto_decompress=False, keepalive_timeout=75
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        log.info("listening", host=self._host, port=self.port)

    async def stop(self, deadline_s: float) -> None:
        """Take no new connection, let requests in hand finish within `deadline_s` seconds, then cut them off."""
        if self._runner is not None:
            # AppRunner takes it at construction only; and it waits that long twice, before and after it cancels.
            self._runner._shutdown_timeout = deadline_s / 2
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _request: web.Request) -> web.Response:
        return _verdict(self._health.is_alive())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _verdict(self._health.is_ready())

    async def _metrics(self, _request: web.Request) -> web.Response:
        self._health.measure()
        return web.Response(
            body=prometheus_client.generate_latest(),
            headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    async def _openapi(self, _request: web.Request) -> web.Response:
        return json_response(self.openapi())

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of the routes as they are served."""
        schemas: dict[str, Any] = {"problem": PROBLEM_SCHEMA}
        paths: dict[str, Any] = {}
        for route in self._routes:
            operation: dict[str, Any] = {
                "summary": route.summary,
                "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}_{route.path}").strip("_"),
                "responses": {
                    str(status): _response(schemas, status, meaning, schema)
                    for status, (meaning, schema) in route.responses.items()
                }
                | {"default": _response(schemas, 500, "Anything else: a problem, with its code.", None)},
            }
            names = re.findall(r"{(\w+)[^}]*}", route.path)
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ] + [
                {"name": name, "in": "query", "schema": dict(schema), "description": text}
                for name, (schema, text) in route.query.items()
            ]
            if route.request:
                operation["requestBody"] = {
                    "required": True,
                    "content": {media: {"schema": _schema(schemas, schema)} for media, schema in route.request.items()},
                }
            if route.secured:
                operation["security"] = [{"apiKey": []}]
            paths.setdefault(re.sub(r"{(\w+)[^}]*}", r"{\1}", route.path), {})[route.method.lower()] = operation
        return {
            "openapi": "3.1.0",
            "info": {
                "title": self._title,
                "version": "1.0.0",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "apiKey": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": self._bearer,
                    }
                },
            },
        }


def _schema(schemas: dict[str, Any], schema: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(schema, str):
        return dict(schema)
    name = schema.removesuffix(".json")
    if name not in schemas:
        schemas[name] = schema_under(schema, f"#/components/schemas/{name}")
    return {"$ref": f"#/components/schemas/{name}"}


def _response(
    schemas: dict[str, Any], status: int, meaning: str, schema: Mapping[str, Any] | str | None
) -> dict[str, Any]:
    if status >= 400 and schema is None:
        return {
            "description": meaning,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}},
        }
    if schema is None:
        return {"description": meaning}
    return {"description": meaning, "content": {"application/json": {"schema": _schema(schemas, schema)}}}


def _verdict(wrong: dict[str, str]) -> web.Response:
    return json_response({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)


async def read_body(request: web.Request, deadline_s: float = READ_DEADLINE_S) -> bytes:
    """The whole body, raw.

    Raises:
        HTTPRequestEntityTooLarge: more than the edge takes.
        HTTPRequestTimeout: not there within `deadline_s` seconds; aiohttp itself would wait for ever.
    """
    if request.content.is_eof():  # it came with the headers, as small ones do: nothing to wait for
        return await request.read()
    try:
        async with asyncio.timeout(deadline_s):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    try:
        response = await handler(request)
    except SallyportError as error:
        if error.alert:
            log.error("request_failed", code=error.code, method=request.method, exc_info=error)
        response = problem_of(error)
    except web.HTTPRequestEntityTooLarge:
        response = problem(413, "body_too_large", "the body is larger than this edge takes")
    except web.HTTPException as error:
        response = problem(
            error.status,
            _code(error.reason),
            headers={"Allow": error.headers["Allow"]} if "Allow" in error.headers else None,
        )
    except Exception as error:  # the edge of the service: nothing else answers the caller
        log.error("request_failed", code="internal", method=request.method, exc_info=error)
        response = problem(500, "internal")
    resource = request.match_info.route.resource
    method = request.method if resource is not None else "other"
    count, seconds = _observers(method, resource.canonical if resource is not None else "unknown", response.status)
    count.inc()
    seconds.observe(time.perf_counter() - started)
    return response


@cache
def _observers(method: str, route: str, status: int) -> tuple[prometheus_client.Counter, prometheus_client.Histogram]:
    """Looking a label set up costs more than counting; there are as many as routes and statuses."""
    return HTTP_REQUESTS.labels(method, route, str(status)), HTTP_SECONDS.labels(method, route)


def _code(reason: str) -> str:
    return re.sub(r"\W+", "_", reason.lower()).strip("_")
