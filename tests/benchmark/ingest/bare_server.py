"""The ceiling of single events: the same HTTP server, reading the body and producing it with acks=all, no more."""

from __future__ import annotations

import asyncio
import os

import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

TOPIC = "bench.bare"


async def main() -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all", enable_idempotence=True
    )
    await producer.start()

    async def take(request: web.Request) -> web.Response:
        await producer.send_and_wait(TOPIC, await request.read())
        return web.Response(status=202)

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/events", take)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["SALLYPORT_HTTP_PORT"])).start()
    await asyncio.Event().wait()


uvloop.run(main())
