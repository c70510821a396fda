"""The ceiling: the same bodies, POSTed by bare aiohttp over 64 connections. `python bare.py URL COUNT BYTES`."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop

CONNECTIONS = 64


async def main(url: str, count: int, size: int) -> None:
    body = b"x" * size
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def worker() -> None:
            for number in numbers:
                async with session.post(url, data=body, headers={"webhook-id": str(number)}) as answer:
                    await answer.read()

        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))


uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
