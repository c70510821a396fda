"""What every request goes through: who is it, can anything be taken now, the body, and what is kept of a refusal."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from contracts.types.registry import Source
from services.ingest.adapters.records import reject_records
from services.ingest.domain.refusal import Refused
from services.ingest.metrics import ACK, REFUSED, SOURCE_REJECTS
from services.platform import tracing
from services.platform.errors import BrokerUnavailable, Unauthenticated, Unavailable
from services.platform.http.edge import read_body
from services.platform.http.problems import problem
from services.platform.kafka.outlets import NotTaken, Outlet, OutRecord
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS
from services.platform.registry import RegistryTable

__all__ = ["RETRY_AFTER_S", "Gate", "Result", "answer_refusal", "inflate"]

log = get_logger(__name__)
RETRY_AFTER_S: Final = 5
_THREAD_FROM_BYTES: Final = 64 * 1024
"""Inflating less is done at once; more would hold the event loop up."""
_STATUS: Final = {
    "malformed_json": 400,
    "gzip_invalid": 400,
    "gzip_truncated": 400,
    "forbidden": 403,
    "detainer_unknown": 404,
    "detainer_exists": 409,
    "detainer_ended": 409,
    "stale_version": 409,
    "snapshot_out_of_order": 409,
    "body_too_large": 413,
    "batch_too_large": 413,
    "content_type_unsupported": 415,
    "content_encoding_unsupported": 415,
}
"""HTTP status of a refusal, by code; 422 for all others."""


class Result(msgspec.Struct, omit_defaults=True):
    """What became of one item of a batch.

    status: accepted, unchanged (a detainer that is so already), rejected (its bytes are in rejects.v1), or, with a
    503, not_taken (certainly not written) or unknown (send it again: the same id twice does no harm).
    """

    index: int
    status: str
    id: str | None = None
    code: str | None = None
    field: str | None = None
    detail: str | None = None


def answer_refusal(refused: Refused, results: Sequence[Result] | None = None) -> web.Response:
    """The problem+json that belongs to a refusal."""
    more: dict[str, Any] = {} if results is None else {"results": results}
    return problem(_STATUS.get(refused.code, 422), refused.code, refused.detail, refused.field, **more)


class Gate:
    """Shared by all operations of the edge."""

    def __init__(self, registry: RegistryTable, outlet: Outlet, clock: Callable[[], datetime] | None = None) -> None:
        self._registry = registry
        self._outlet = outlet
        self.registry = registry.registry
        self.now = clock or (lambda: datetime.now(UTC))

    def source(self, request: web.Request) -> Source:
        """Who sends this, once it is worth asking.

        Raises:
            Unauthenticated: no key that is known. Such a request leaves no trace but a count: anyone could fill Kafka.
            Unavailable: the registry is not read yet, so that nobody could be known.
            BrokerUnavailable: the broker is away, so that nothing could be taken; better said before the body is read.
        """
        if not self._registry.restored:
            raise Unavailable("starting: the registry is not read yet", 1)
        try:
            source = self.registry.authenticate(request.headers.get("Authorization"))
        except Unauthenticated as error:
            REFUSED.labels(error.code).inc()
            raise
        if (wrong := self._outlet.problem()) is not None:
            REFUSED.labels(BrokerUnavailable.code).inc()
            raise BrokerUnavailable(f"nothing is taken now: {wrong}", RETRY_AFTER_S)
        return source

    async def body(self, request: web.Request, limit: int) -> bytes:
        """The body as it was sent, of at most `limit` bytes. Raises Refused (body_too_large)."""
        if (request.content_length or 0) > limit:
            raise Refused("body_too_large", f"the body has more than {limit} bytes")
        raw = await read_body(request)
        if len(raw) > limit:
            raise Refused("body_too_large", f"the body has more than {limit} bytes")
        return raw

    async def send(self, records: Sequence[OutRecord]) -> list[BaseException | None]:
        """Write; see Outlet.send."""
        begun = time.perf_counter()
        outcome = await self._outlet.send(records)
        ACK.observe(time.perf_counter() - begun)
        return outcome

    def rejects(
        self, raw: bytes, refused: Refused, request: web.Request, source: Source, now: datetime
    ) -> list[OutRecord]:
        """The records that keep refused bytes, and their count in the metrics."""
        REJECTS.labels(refused.code).inc()
        SOURCE_REJECTS.labels(source.id).inc()
        resource = request.match_info.route.resource
        edge = f"{request.method} {resource.canonical if resource is not None else ''}"
        content_type = request.headers.get("Content-Type")
        return list(
            reject_records(
                raw,
                refused,
                source=source.id,
                edge=edge,
                now=now,
                content_type=content_type,
                traceparent=tracing.upstream(request.headers.get("traceparent")),
            )
        )

    async def refuse(self, raw: bytes, refused: Refused, request: web.Request, source: Source) -> web.Response:
        """Keep the whole body, then say why it is refused. Raises BrokerUnavailable where it could not be kept."""
        if refused.code == "body_too_large":  # no place for it
            REFUSED.labels(refused.code).inc()
            return answer_refusal(refused)
        outcome = await self.send(self.rejects(raw, refused, request, source, self.now()))
        if any(error is not None for error in outcome):
            raise self.unavailable()
        log.info("rejected", code=refused.code, source=source.id, count=1)
        return answer_refusal(refused)

    def unavailable(self) -> BrokerUnavailable:
        """For the caller who has to come again."""
        return BrokerUnavailable("Kafka did not acknowledge in time: send it again, with the same ids", RETRY_AFTER_S)

    def not_all_taken(self, results: Sequence[Result]) -> web.Response:
        """503 with what is known of each item."""
        error = self.unavailable()
        headers = {"Retry-After": str(error.retry_after_s)}
        return problem(503, error.code, str(error), headers=headers, results=results)


def fate(error: BaseException | None, taken: str = "accepted") -> str:
    """What the end of a record means for its item."""
    if error is None:
        return taken
    return "not_taken" if isinstance(error, NotTaken) else "unknown"


async def inflate(raw: bytes, encoding: str | None, limit: int) -> bytes:
    """Undo a Content-Encoding, up to `limit` bytes.

    Raises:
        Refused: content_encoding_unsupported, gzip_invalid, gzip_truncated, body_too_large.
    """
    match (encoding or "identity").strip().lower():
        case "identity" | "":
            return raw
        case "gzip" | "x-gzip":
            if len(raw) < _THREAD_FROM_BYTES:
                return gunzip(raw, limit)
            return await asyncio.to_thread(gunzip, raw, limit)
    raise Refused("content_encoding_unsupported", "Content-Encoding may be gzip, or none", "Content-Encoding")


def gunzip(raw: bytes, limit: int) -> bytes:
    """All members of a gzip file, complete, of at most `limit` bytes together. Raises Refused, as `inflate`."""
    parts: list[bytes] = []
    left = limit
    rest = raw
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(rest, left + 1)
        except zlib.error:
            raise Refused("gzip_invalid", "the body is not gzip", "Content-Encoding") from None
        if len(part) > left:
            raise Refused("body_too_large", f"the body has more than {limit} bytes after gzip is undone")
        if not member.eof:
            raise Refused("gzip_truncated", "the gzip stream ends before its end mark", "Content-Encoding")
        parts.append(part)
        left -= len(part)
        rest = member.unused_data.lstrip(b"\0")  # tape padding, as gzip itself takes it
    if not parts:
        raise Refused("gzip_truncated", "the gzip stream is empty", "Content-Encoding")
    return b"".join(parts)
