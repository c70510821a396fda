"""E-mail through a real SMTP server: STARTTLS or nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP

from tests.integration.notifier.support import Ledger, Receiver, dispatching
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import conflict

ADDRESS = "desk@agency.example"


class Sink:
    """Keeps what it is given; refuses addresses that begin with `nobody`."""

    def __init__(self) -> None:
        self.mails: list[tuple[bool, bytes]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        self.mails.append((session.ssl is not None, envelope.content))
        return "250 OK"


Serve = Callable[[bool], Awaitable[tuple[Sink, dict[str, Any]]]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """serve(starttls): a sink, and the settings that send to it."""
    servers: list[asyncio.Server] = []
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    async def start(starttls: bool) -> tuple[Sink, dict[str, Any]]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        sink = Sink()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(sink, tls_context=context if starttls else None, loop=loop), "127.0.0.1", 0
        )
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return sink, {"smtp_host": "localhost", "smtp_port": port, "smtp_ca_file": str(ca_file), "smtp_deadline_s": 30}

    yield start
    for server in servers:
        server.close()


async def test_a_pointer_is_sent_under_tls(ledger: Ledger, serve: Serve) -> None:
    await ledger.subscribe(ADDRESS, channel="email")
    sink, where = await serve(True)
    given = conflict(771)
    async with dispatching(ledger, mail_from="notices@sallyport.example", **where):
        await ledger.tell(given)
        await eventually(ledger.settled)
    ((encrypted, raw),) = sink.mails
    assert encrypted
    message = message_from_bytes(raw)
    delivery = await ledger.pool.fetchval("select delivery_id from deliveries")
    notice = await ledger.pool.fetchval("select notice_id from notices")
    assert message["Message-ID"] == f"<{delivery}@sallyport.example>"
    assert notice in message.get_payload()
    for private in (b"REF-771", b"BOOK-771", b"TSTJAIL01"):
        assert private not in raw
    assert await ledger.notices() == {(given.conflict_id, 1): "delivered"}


async def _fails(ledger: Ledger, sink: Sink, where: dict[str, Any], error: str, http_status: int | None = None) -> None:
    async def failed() -> bool:
        return (1, "failed", http_status, error) in await ledger.attempts()

    async with dispatching(ledger, retry_scale=1.0, **where):
        await ledger.tell(conflict())
        await eventually(failed)
    assert sink.mails == []


async def test_without_starttls_nothing_is_sent(ledger: Ledger, serve: Serve) -> None:
    await ledger.subscribe(ADDRESS, channel="email")
    await _fails(ledger, *await serve(False), "starttls_or_connection")


async def test_nor_to_a_server_whose_certificate_nobody_vouches_for(ledger: Ledger, serve: Serve) -> None:
    await ledger.subscribe(ADDRESS, channel="email")
    sink, where = await serve(True)
    await _fails(ledger, sink, {**where, "smtp_ca_file": ""}, "certificate")


async def test_a_mailbox_that_is_not_there_is_named_as_such(ledger: Ledger, serve: Serve) -> None:
    await ledger.subscribe("nobody@agency.example", channel="email")
    await _fails(ledger, *await serve(True), "smtp_recipient_refused", 550)


async def test_a_server_that_says_a_word_at_a_time_is_cut_at_the_deadline(ledger: Ledger) -> None:
    """Each answer comes within the library's time-out of one command, all together they do not."""

    async def drawl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow.example\r\n")
        while await reader.readline():
            for _ in range(100):
                writer.write(b"250-more\r\n")
                await writer.drain()
                await asyncio.sleep(0.1)

    server = await asyncio.start_server(drawl, "127.0.0.1", 0)
    where = {
        "smtp_host": "127.0.0.1", "smtp_port": server.sockets[0].getsockname()[1], "smtp_starttls": False,
        "smtp_deadline_s": 0.5,
    }  # fmt: skip
    await ledger.subscribe(ADDRESS, channel="email")
    await _fails(ledger, Sink(), where, "timeout")
    server.close()


async def test_a_mail_server_that_hangs_holds_no_slot_of_a_webhook(ledger: Ledger, receiver: Receiver) -> None:
    """Nor does it get more connections at once than it was said to bear, however many desks are subscribed."""
    connections: set[asyncio.StreamWriter] = set()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        await reader.read()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    where = {"smtp_host": "127.0.0.1", "smtp_port": server.sockets[0].getsockname()[1], "smtp_deadline_s": 120.0}
    for n in range(10):
        await ledger.subscribe(f"desk{n}@agency.example", channel="email")
    await ledger.subscribe(receiver.url + "/hook")
    async with dispatching(ledger, max_in_flight=4, max_in_flight_email=3, **where) as dispatcher:
        await ledger.tell(conflict(1))

        async def hangs() -> bool:
            return len(connections) == 3

        await eventually(hangs)
        await ledger.tell(*(conflict(n) for n in range(2, 12)))
        dispatcher.wake()

        async def arrived() -> bool:
            return receiver.count("/hook") == 11

        await eventually(arrived)
        assert len(connections) == 3
        server.close()
        for writer in connections:
            writer.transport.abort()
