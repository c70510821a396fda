"""A fast webhook receiver, as a process: counts, keeps arrival times, and hangs on the paths that say so.

POST /fast; POST /hang/SECONDS; GET /arrivals/PATH: [[webhook-id, seconds since 1970], ...]; POST /reset; GET /readyz.
"""

from __future__ import annotations

import asyncio
import os
import time

import msgspec
import uvloop
from aiohttp import web

arrivals: dict[str, list[tuple[str, float]]] = {}


async def take(request: web.Request) -> web.Response:
    await request.read()
    arrivals.setdefault(request.path, []).append((request.headers.get("webhook-id", ""), time.time()))
    return web.Response()


async def hang(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.match_info["seconds"]))
    return await take(request)


async def told(request: web.Request) -> web.Response:
    return web.Response(body=msgspec.json.encode(arrivals.get("/" + request.match_info["path"], [])))


async def count(request: web.Request) -> web.Response:
    return web.Response(text=str(len(arrivals.get("/" + request.match_info["path"], []))))


async def reset(_: web.Request) -> web.Response:
    arrivals.clear()
    return web.Response()


async def ready(_: web.Request) -> web.Response:
    return web.Response()


async def main() -> None:
    app = web.Application()
    app.router.add_post("/hang/{seconds}", hang)
    app.router.add_post("/reset", reset)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/arrivals/{path:.*}", told)
    app.router.add_get("/count/{path:.*}", count)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["SALLYPORT_HTTP_PORT"]), backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
