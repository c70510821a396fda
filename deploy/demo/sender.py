"""What jails and agencies do: send over HTTP, at a pace, and send again until it is taken.

A sender that got no answer, or a 503, sends the same thing again under the same id. What the system is asked to be
is exactly-once against senders like that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from contracts.ids import detainer_id
from contracts.types.detainer import DetainerCommand
from deploy.demo.world.script import Post

__all__ = ["NotTaken", "Sender", "Sent"]

_BATCH = 200
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_STRUCTURED = "application/cloudevents+json"


class NotTaken(Exception):
    """Refused for good, or not taken by the deadline."""


@dataclass
class Sent:
    """What was taken. first_at: (source, event id) -> Unix time of the first attempt, detainer id -> the same of the
    newest command. again: attempts that were repeats of one that had no good answer."""

    events: int = 0
    commands: int = 0
    again: int = 0
    first_at: dict[tuple[str, str], float] = field(default_factory=dict)
    took_s: float = 0.0


class Sender:
    """Sends to ingest.

    keys: source id -> API key. deadline_s: how long one post is sent again and again before NotTaken.
    """

    def __init__(self, url: str, keys: Mapping[str, str], *, deadline_s: float = 60.0) -> None:
        self._url = url
        self._keys = keys
        self._deadline_s = deadline_s
        self._in_order: dict[str, asyncio.Lock] = {}
        self.sent = Sent()

    async def preload(self, posts: Sequence[Post]) -> None:
        """Lodge detainers in batches, each agency its own."""
        by_source: dict[str, list[Post]] = {}
        for post in posts:
            by_source.setdefault(post.source, []).append(post)
        async with self._session() as session:
            for source, its in by_source.items():
                for begin in range(0, len(its), _BATCH):
                    batch = its[begin : begin + _BATCH]
                    raw = msgspec.json.encode([post.body for post in batch])
                    await self._post(session, source, "/v1/detainers", "application/json", raw)
                    self.sent.commands += len(batch)

    async def stream(
        self, posts: Sequence[Post], per_second: float, *, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send everything, one request each, at most so many a second; return once all is taken.

        Raises NotTaken: as soon as one post is.
        """
        loop = asyncio.get_running_loop()
        begin = loop.time()
        done = 0

        async def one(session: aiohttp.ClientSession, post: Post) -> None:
            nonlocal done
            await self._one(session, post)
            done += 1
            progress(done)

        try:
            async with self._session() as session, asyncio.TaskGroup() as tasks:
                for index, post in enumerate(posts):
                    await asyncio.sleep(max(0.0, begin + index / per_second - loop.time()))
                    tasks.create_task(one(session, post))
        except* NotTaken as group:
            first = group.exceptions[0]
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        self.sent.took_s += loop.time() - begin

    async def roster(self, source: str, facility: str, snapshot_at: str, raw: bytes) -> dict[str, Any]:
        """Send a roster file; what ingest says it led to. Raises NotTaken."""
        async with self._session(total_s=120) as session:
            path = f"/v1/rosters/{facility}?snapshot_at={snapshot_at}"
            answer: dict[str, Any] = msgspec.json.decode(await self._post(session, source, path, "text/csv", raw))
            return answer

    def _session(self, total_s: float = 15.0) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=64)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=total_s))

    async def _one(self, session: aiohttp.ClientSession, post: Post) -> None:
        body = post.body
        if post.event_id is not None:
            raw = msgspec.json.encode(
                {
                    "specversion": "1.0",
                    "id": post.event_id,
                    "source": post.source,
                    "type": f"sallyport.custody.{body.__struct_config__.tag}.v1",
                    "datacontenttype": "application/json",
                    "data": body,
                }
            )
            self.sent.first_at.setdefault((post.source, post.event_id), time.time())
            await self._post(session, post.source, "/v1/events", _STRUCTURED, raw)
            self.sent.events += 1
            return
        assert isinstance(body, DetainerCommand)
        name = detainer_id(body.agency, body.agency_reference)
        # Each command builds on the one before; a lock serves who waits in the order of their coming.
        async with self._in_order.setdefault(name, asyncio.Lock()):
            self.sent.first_at[body.agency, name] = time.time()
            await self._post(session, post.source, "/v1/detainers", "application/json", msgspec.json.encode(body))
        self.sent.commands += 1

    async def _post(self, session: aiohttp.ClientSession, source: str, path: str, media: str, raw: bytes) -> str:
        headers = {"Content-Type": media, "Authorization": f"Bearer {self._keys[source]}"}
        until = time.monotonic() + self._deadline_s
        pause_s = _PAUSE_S
        while True:
            said: str
            try:
                async with session.post(self._url + path, data=raw, headers=headers) as answer:
                    text = await answer.text()
                    if answer.status in (200, 202):
                        return text
                    said = f"{answer.status} {text[:300]}"
                    if answer.status != 503:
                        raise NotTaken(f"{path}: {said}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                said = type(error).__name__
            if time.monotonic() > until:
                raise NotTaken(f"{path}: not taken within {self._deadline_s:.0f} s: {said}")
            self.sent.again += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
