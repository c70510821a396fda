"""Where a webhook may go: names are resolved here, once for each connection, and private addresses are refused.

A subscriber chooses the URL, so a notifier without this would fetch whatever the subscriber cannot reach: metadata
services, databases, its own API. aiohttp asks the resolver about names only, so literals are checked beforehand.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.platform.errors import ContractViolation

__all__ = ["GuardedResolver", "NotPublic", "check_target", "guarded_socket", "is_public", "literal_refused"]


class NotPublic(OSError):
    """The name resolves to no public address, or the address is not public."""


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet. An IPv6 address that wraps an IPv4 one is judged by that one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in _NEVER):
            return False
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is not None:
            ip = wrapped
        elif any(ip in network for network in _LOW_BITS):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast


_LOW_BITS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""NAT64 (RFC 6052) and IPv4-compatible (RFC 4291, 2.5.5.1): the IPv4 address is the last 32 bits."""
_NEVER = tuple(ipaddress.ip_network(network) for network in ("64:ff9b:1::/48", "fec0::/10", "5f00::/16"))
"""NAT64 of local use (RFC 8215), site-local (RFC 3879), segment routing (RFC 9602): global to Python 3.11."""


def check_target(url: str, *, allow_private: bool, allow_plain: bool) -> None:
    """Refuse a webhook URL that may not be used.

    Raises:
        ContractViolation: not http(s), without TLS, with user or password, with a fragment, or a private literal.
    """
    try:
        # yarl, as aiohttp does: where two parsers differ, one would check another host than the other connects to.
        parts = URL(url)
        host, port = parts.host, parts.explicit_port
        (host or "").encode("idna")
    except ValueError:
        raise ContractViolation("url_invalid", "not a URL", "url") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_plain):
        raise ContractViolation("url_not_https", "a webhook URL begins with https://", "url")
    named = parts.raw_user is not None or parts.raw_password is not None
    if not host or any(c.isspace() or not c.isprintable() for c in host) or named or parts.raw_fragment or port == 0:
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


def guarded_socket(address: AddrInfoType) -> socket.socket:
    """A socket for one connection: the last look at the address, whatever way it came by.

    aiohttp takes more for an address than is one ("127.0.0.1."), and then nobody is asked before the connection.

    Raises NotPublic.
    """
    family, kind, protocol, _, where = address
    if not is_public(str(where[0])):
        raise NotPublic("the address is not public")
    return socket.socket(family, kind, protocol)


class GuardedResolver(AbstractResolver):
    """Resolves for one connection, which then uses that very answer: no second look-up that could differ.

    Look-ups of one name at one time are one look-up, in a thread of our own pool. The event loop's pool is small
    (uvloop's: two threads for names), and a name server that hangs, asked for each delivery of one endpoint, would
    fill it: every other endpoint would wait behind it.
    """

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._threads = ThreadPoolExecutor(max_workers=_LOOK_UPS, thread_name_prefix="names")
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        key = (host, port, int(family))
        look_up = self._under_way.get(key)
        if look_up is None:
            look_up = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
            self._under_way[key] = look_up
            look_up.add_done_callback(lambda done: self._done(key, done))
        found = await asyncio.shield(look_up)  # one who gives up does not take it from the others
        allowed = [entry for entry in found if self._allow_private or is_public(entry["host"])]
        if not allowed:
            raise NotPublic(f"{len(found)} addresses, none public")
        return allowed

    def _done(self, key: tuple[str, int, int], look_up: asyncio.Future[list[ResolveResult]]) -> None:
        self._under_way.pop(key, None)
        if not look_up.cancelled():
            look_up.exception()  # nobody may be waiting any more

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


_LOOK_UPS = 64
"""Names that are looked up at once; threads are made as they are needed."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]


def literal_refused(url: str, allow_private: bool) -> bool:
    """Whether the URL's host is a literal that is not public. Asked again before each attempt: settings change."""
    if allow_private:
        return False
    try:
        host = (URL(url).host or "").rstrip(".")
    except ValueError:
        return True
    return _is_literal(host) and not is_public(_canonical(host))


def _canonical(host: str) -> str:
    return str(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0])
