"""Where a webhook may go: names are resolved here, once for each connection, and private addresses are refused.

A subscriber chooses the URL, so a notifier without this would fetch whatever the subscriber cannot reach: metadata
services, databases, its own API. aiohttp asks the resolver about names only, so literals are checked beforehand.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from services.platform.errors import ContractViolation

__all__ = ["GuardedResolver", "NotPublic", "check_target", "is_public", "literal_refused"]


class NotPublic(OSError):
    """The name resolves to no public address, or the address is not public."""


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet. An IPv6 address that wraps an IPv4 one is judged by that one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is not None:
            ip = wrapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_target(url: str, *, allow_private: bool, allow_plain: bool) -> None:
    """Refuse a webhook URL that may not be used.

    Raises:
        ContractViolation: not http(s), without TLS, with user or password, with a fragment, or a private literal.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ContractViolation("url_invalid", "not a URL", "url") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_plain):
        raise ContractViolation("url_not_https", "a webhook URL begins with https://", "url")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        raise ContractViolation("url_invalid", "want a host, and neither user, password nor fragment", "url")
    if literal_refused(url, allow_private):
        raise ContractViolation("url_not_public", "the address is not public", "url")


def _is_literal(host: str) -> bool:
    # What the C library takes for an address counts, such as 2130706433 or 0x7f.1, not only what is well written.
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves for one connection, which then uses that very answer: no second look-up that could differ."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [entry for entry in found if self._allow_private or is_public(entry["host"])]
        if not allowed:
            raise NotPublic(f"{len(found)} addresses, none public")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def literal_refused(url: str, allow_private: bool) -> bool:
    """Whether the URL's host is a literal that is not public. Asked again before each attempt: settings change."""
    host: Any = urlsplit(url).hostname
    return not allow_private and host is not None and _is_literal(host) and not is_public(_canonical(host))


def _canonical(host: str) -> str:
    return str(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0])
