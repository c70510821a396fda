"""The other side of the edge: posts to an ingest, and comes again when it says so."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

import aiohttp
from msgspec import Struct

from services.platform.errors import SallyportError

__all__ = ["Answer", "IngestAway", "Sender"]


class IngestAway(SallyportError):
    """Ingest did not take it in all the time that there was."""

    code = "ingest_away"
    retryable: ClassVar[bool] = True


class Answer(Struct, frozen=True):
    """status: HTTP. body: the JSON object that came, empty where none did."""

    status: int
    body: dict[str, Any]


class Sender:
    """One ingest and one API key. A context manager.

    patience_s: how long one post is tried, in seconds, while ingest is away or answers 503.
    """

    def __init__(self, url: str, key: str, *, patience_s: float = 300.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=120))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: bytes, content_type: str, query: Mapping[str, str] | None = None) -> Answer:
        """Post until there is an answer other than 503; the same bytes each time, so that nothing is taken twice.

        Raises:
            IngestAway: there was none.
        """
        if self._session is None:
            raise AssertionError("not entered")
        until = time.monotonic() + self._patience_s
        wait_s = 0.5
        while True:
            said = "no answer"
            try:
                async with self._session.post(
                    self._url + path, data=body, params=query, headers={"Content-Type": content_type}
                ) as response:
                    answer = Answer(response.status, _object(await response.read()))
                if answer.status != 503:
                    return answer
                said = str(answer.body.get("detail", "unavailable"))
                wait_s = _seconds(response.headers.get("Retry-After"), wait_s)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                said = type(error).__name__
                wait_s = min(wait_s * 2, 10.0)
            if time.monotonic() + wait_s > until:
                raise IngestAway(f"{self._url} did not take it within {self._patience_s:g} s: {said}")
            await asyncio.sleep(wait_s)


def _seconds(retry_after: str | None, otherwise: float) -> float:
    try:
        return min(max(float(retry_after or ""), 0.1), 60.0)
    except ValueError:
        return otherwise


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
