"""The health check of an image, against servers that answer as they please."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.images import healthy

PROGRAM = Path(healthy.__file__)


@contextmanager
def _answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that takes one request and gives one answer: its port, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", 1),
        (b"", 1),
    ],
)
def test_status_is_what_the_answer_is(answer: bytes, status: int) -> None:
    with _answering(answer) as (port, asked):
        # As the image runs it: isolated, and without packages.
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), "/readyz"], env={"SALLYPORT_HTTP_PORT": str(port)}, check=False
        )
    assert done.returncode == status
    assert asked[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_livez_is_asked_unless_another_path_is_named() -> None:
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        assert healthy.says_yes(port)
    assert asked[0].startswith(b"GET /livez ")


def test_nobody_there_is_not_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not healthy.says_yes(port, timeout_s=1)
