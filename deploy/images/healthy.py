"""The health check of an image: status 0 if the service inside answers 200 on /livez, or on the path given.

Runs by itself, without packages, so that asking costs next to nothing. SALLYPORT_HTTP_PORT: the service's port.
"""

from __future__ import annotations

import os
import socket
import sys

__all__ = ["main", "says_yes"]

_TIMEOUT_S = 4.0


def says_yes(port: int, path: str = "/livez", timeout_s: float = _TIMEOUT_S) -> bool:
    """Whether GET `path` on this machine's `port` is answered with 200, each step within `timeout_s` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = b""
            while b"\r\n" not in head and (part := connection.recv(1024)):
                head += part
    except OSError:
        return False
    return head.startswith(b"HTTP/1.1 200 ")


def main() -> int:
    """0: the answer is 200. 1: another one, or none."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/livez"
    return 0 if says_yes(int(os.environ.get("SALLYPORT_HTTP_PORT", "8080")), path) else 1


if __name__ == "__main__":
    sys.exit(main())
