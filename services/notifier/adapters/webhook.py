"""One attempt by webhook: a signed POST, within one deadline, that trusts nothing of the other side."""

from __future__ import annotations

import asyncio
import email.utils
import time
from datetime import UTC, datetime

import aiohttp
from msgspec import Struct

from services.notifier.adapters.addresses import GuardedResolver, NotPublic, guarded_socket, literal_refused
from services.notifier.domain.signature import sign

__all__ = ["Answer", "WebhookSender"]


class Answer(Struct, frozen=True):
    """What came of one attempt. error: a class of errors, without anything that the other side said.

    gone: the endpoint wants nothing any more (410). retry_after_s: what it asked for.
    """

    delivered: bool
    http_status: int | None = None
    error: str | None = None
    gone: bool = False
    retry_after_s: float | None = None


class WebhookSender:
    """Sends over one session with kept connections.

    deadline_s: for everything from the name look-up to the last byte of the answer. response_limit: most bytes read.
    """

    def __init__(self, *, deadline_s: float, response_limit: int, connections: int, allow_private: bool) -> None:
        self._timeout = aiohttp.ClientTimeout(total=deadline_s)
        self._response_limit = response_limit
        self._allow_private = allow_private
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._allow_private),
            socket_factory=None if self._allow_private else guarded_socket,
            use_dns_cache=False,  # a cached answer would be used beyond its time to live
            limit=self._connections,
            keepalive_timeout=30,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            trust_env=False,  # a proxy from the environment would resolve names by itself
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sallyport/1", "Content-Type": "application/json"},
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, url: str, key: bytes, webhook_id: str, body: bytes) -> Answer:
        """Try once. Never raises for what the other side does."""
        if self._session is None:
            raise AssertionError("not started")
        if literal_refused(url, self._allow_private):
            return Answer(False, error="address_not_public")
        timestamp = int(time.time())
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(key, webhook_id, timestamp, body),
        }
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                await self._read(response)
                return _judge(response)
        except TimeoutError:
            return Answer(False, error="timeout")
        except aiohttp.ClientConnectorCertificateError:
            return Answer(False, error="certificate")
        except aiohttp.ClientSSLError:
            return Answer(False, error="tls")
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, NotPublic)
            return Answer(False, error="address_not_public" if refused else "connection_failed")
        except (aiohttp.InvalidURL, UnicodeError):
            return Answer(False, error="url_invalid")
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            return Answer(False, error="connection_lost")

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        """Read the answer's body, so that the connection can be used again; a large one is not worth that."""
        left = self._response_limit
        async for chunk in response.content.iter_any():
            left -= len(chunk)
            if left < 0:
                response.close()
                return


def _judge(response: aiohttp.ClientResponse) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer(True, status)
    error = "redirect" if 300 <= status < 400 else f"http_{status // 100}xx"
    return Answer(False, status, error, gone=status == 410, retry_after_s=_retry_after(response))


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds, from either form of Retry-After (RFC 9110, section 10.2.3); None if there is none that can be read."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
