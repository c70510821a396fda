"""A connection of aiokafka that is gone, on the loop that the services run on."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

import services.platform.kafka.clients  # noqa: F401 - importing it is all that a service does
from services.platform.loop import ServiceLoop


async def _gone() -> AIOKafkaConnection:
    """A connection whose socket is closed, of which nobody has told it yet."""
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    connection = AIOKafkaConnection(host, port, request_timeout_ms=1000)
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Stream(asyncio.StreamReaderProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(None)

    reader = asyncio.StreamReader()
    transport, protocol = await asyncio.get_running_loop().create_connection(lambda: Stream(reader), host, port)
    connection._reader, connection._writer = (
        reader,
        asyncio.StreamWriter(transport, protocol, reader, server.get_loop()),
    )
    connection._read_task = asyncio.get_running_loop().create_future()
    connection._versions = {MetadataRequest.API_KEY: (0, 5)}
    transport.abort()
    await lost
    server.close()
    return connection


@pytest.mark.parametrize("writing", ["send", "_send_sasl_token"])
def test_a_write_to_it_closes_it_and_is_a_lost_connection(writing: str) -> None:
    async def write() -> None:
        connection = await _gone()
        assert connection.connected(), "or this shows nothing"
        argument = MetadataRequest(None) if writing == "send" else b"token"
        with pytest.raises(KafkaConnectionError, match="broken"):
            await getattr(connection, writing)(argument)
        assert not connection.connected()

    uvloop.run(write(), loop_factory=ServiceLoop)


def test_left_alone_it_is_an_error_that_aiokafka_does_not_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once this fails, `lost_writes` may go."""
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send.__wrapped__)

    async def write() -> None:
        connection = await _gone()
        with pytest.raises(RuntimeError, match="closed"):
            await connection.send(MetadataRequest(None))
        connection.close()

    uvloop.run(write(), loop_factory=ServiceLoop)
