"""A load generator that costs little: asyncio protocols on uvloop that send ready-made requests and read statuses.

Each connection sends its next request when the answer to the last one is there, as a client with keep-alive does.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

__all__ = ["Outcome", "load", "request"]


@dataclass
class Outcome:
    """statuses: answer status -> how many. seconds: from the first request to the last answer. latencies_s: each."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of one POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], outcome: Outcome) -> None:
        self._requests = requests
        self._outcome = outcome
        self._buffer = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop transports are not of the class that the types name
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        given = next(self._requests, None)
        if given is None:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(given)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._buffer = b""
        self._outcome.statuses[int(head[9:12])] += 1
        self._outcome.latencies_s.append(time.perf_counter() - self._sent_at)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the server"))


async def _load(port: int, requests: Sequence[bytes], connections: int) -> Outcome:
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    shared = iter(requests)
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(shared, outcome), "127.0.0.1", port)
        for _ in itertools.repeat(None, connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    outcome.seconds = time.perf_counter() - began
    return outcome


def load(port: int, requests: Sequence[bytes], connections: int) -> Outcome:
    """Send every request once, over so many connections, and wait for all answers."""
    return uvloop.run(_load(port, requests, connections))
