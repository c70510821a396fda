"""Every error of ours has an answer that a program can read, and a bug has one that gives nothing away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.platform import errors
from services.platform.health import Health
from services.platform.http.edge import Edge, Route

NAME = "Exampleson"


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], health: Health | None = None, **options: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """An edge with one route, POST /v1/things/{id}, on a free port."""
    route = Route("POST", "/v1/things/{id}", handler, "Try it", responses={200: ("Done.", None)})
    edge = Edge("test", health or Health(), host="127.0.0.1", port=0, routes=[route], **options)
    await edge.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as session:
            yield session
    finally:
        await edge.stop(1)


def raising(error: Exception) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "status", "body", "headers"),
    [
        (
            errors.ContractViolation("unknown_kind", "no such kind", "$.kind"),
            422,
            {"code": "unknown_kind", "detail": "no such kind", "field": "$.kind"},
            {},
        ),
        (
            errors.Unauthenticated("an API key is needed"),
            401,
            {"code": "unauthenticated", "detail": "an API key is needed"},
            {"WWW-Authenticate": "Bearer"},
        ),
        (errors.Forbidden("not your facility"), 403, {"code": "forbidden", "detail": "not your facility"}, {}),
        (
            errors.BrokerUnavailable("no broker answers", 7),
            503,
            {"code": "broker_unavailable", "detail": "no broker answers"},
            {"Retry-After": "7"},
        ),
        (errors.Fenced("another instance owns it"), 500, {"code": "fenced"}, {}),
        (ValueError(NAME), 500, {"code": "internal"}, {}),
        (KeyError(NAME), 500, {"code": "internal"}, {}),
        (web.HTTPConflict(), 409, {"code": "conflict"}, {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_error_is_answered_as_a_problem(
    error: Exception, status: int, body: dict[str, Any], headers: dict[str, str]
) -> None:
    async with serving(raising(error)) as session, session.post("/v1/things/1") as answer:
        said = await answer.json(content_type="application/problem+json")
        assert answer.status == said["status"] == status
        assert said["type"] == f"urn:sallyport:problem:{body['code']}"
        assert said["title"]
        assert {key: said.get(key) for key in ("code", "detail", "field")} == {
            "detail": None,
            "field": None,
            **body,
        }
        assert {name: answer.headers[name] for name in headers} == headers
        assert NAME not in await answer.text()


async def test_what_is_not_there_and_what_is_not_allowed_are_problems_too() -> None:
    async with serving(raising(AssertionError())) as session:
        async with session.get("/nowhere") as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (404, "not_found")
        async with session.put("/v1/things/1") as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (405, "method_not_allowed")
            assert answer.headers["Allow"] == "POST"


async def test_a_body_that_is_too_large_is_refused() -> None:
    async def read(request: web.Request) -> web.StreamResponse:
        return web.Response(body=await request.read())

    async with serving(read, max_body_bytes=10) as session:
        async with session.post("/v1/things/1", data=b"x" * 10) as answer:
            assert answer.status == 200
        async with session.post("/v1/things/1", data=b"x" * 11) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (413, "body_too_large")


async def test_health_is_red_with_the_reason() -> None:
    health = Health()
    health.alive("consumer", lambda: "stuck")
    async with serving(raising(AssertionError()), health) as session:
        async with session.get("/livez") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ok": False, "wrong": {"consumer": "stuck"}}
        async with session.get("/readyz") as answer:
            assert answer.status == 200
            assert await answer.json() == {"ok": True, "wrong": {}}


async def test_metrics_count_by_route_and_not_by_path() -> None:
    """A path has ids in it; as a label its values would grow without bound."""
    async with serving(raising(errors.Forbidden("no"))) as session:
        for path in ("/v1/things/a-name", f"/{NAME}"):
            async with session.post(path):
                pass
        async with session.get("/metrics") as answer:
            text = await answer.text()
    assert 'sallyport_http_requests_total{method="POST",route="/v1/things/{id}",status="403"}' in text
    assert "a-name" not in text
    assert NAME not in text


async def test_the_document_of_an_edge_has_its_routes_and_their_answers() -> None:
    async with serving(raising(AssertionError())) as session, session.get("/openapi.json") as answer:
        found = await answer.json()
    operation = found["paths"]["/v1/things/{id}"]["post"]
    assert operation["parameters"] == [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    assert set(operation["responses"]) == {"200", "default"}
    assert operation["security"] == [{"apiKey": []}]
    assert "security" not in found["paths"]["/livez"]["get"]


def every(base: type[errors.SallyportError]) -> list[type[errors.SallyportError]]:
    return [base, *(found for child in base.__subclasses__() for found in every(child))]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in every(errors.SallyportError) if error.__module__ == errors.__name__]
    assert len(codes) > 5
    assert len(set(codes)) == len(codes)
