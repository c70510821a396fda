"""A service leaves a TLS connection soon, though the other side does not say goodbye."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
import uvloop

from services.platform.loop import ServiceLoop

HOST = "localhost"


@pytest.fixture
def deaf(authority: trustme.CA) -> Iterator[int]:
    """A TLS server that shakes hands and then reads nothing more, as long as the test lasts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            inner, _ = listening.accept()
            with context.wrap_socket(inner, server_side=True):
                over.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join(10)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


class Gone(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


def test_a_connection_that_is_closed_is_gone_soon(deaf: int, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def leave() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Gone, HOST, deaf, ssl=context, family=socket.AF_INET)
        transport.close()
        await asyncio.wait_for(protocol.lost.wait(), 20)

    uvloop.run(leave(), loop_factory=ServiceLoop)


def test_without_tls_nothing_is_asked_of_it() -> None:
    async def connect() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()

    uvloop.run(connect(), loop_factory=ServiceLoop)
