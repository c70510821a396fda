"""TLS before a PostgreSQL whose build has none (the wheel's): it speaks the protocol's SSLRequest, and passes on.

A client sees a server of `hostssl` lines only: the certificate is verified by it, plain text is turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["tls_front"]

_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)


@contextmanager
def tls_front(certificate: Path, key: Path, port: int) -> Iterator[int]:
    """A port of 127.0.0.1 with TLS, before the plain `port`; gone afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    listening, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(lambda r, w: _one(r, w, context, port), "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        listening.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="tls-front", daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        try:
            if await reader.readexactly(8) != _SSL_REQUEST:
                said = b"SFATAL\0C28000\0Mno pg_hba.conf entry for this host, no encryption\0\0"
                writer.write(b"E" + struct.pack("!I", len(said) + 4) + said)
                await writer.drain()
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))
        finally:
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
