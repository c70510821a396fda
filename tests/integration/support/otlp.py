"""A receiver of OTLP over HTTP that keeps what it is sent, and a webhook endpoint that answers as it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Endpoint", "Receiver", "SpanSeen"]


@dataclass(frozen=True)
class SpanSeen:
    """A span as it came over the wire. parent: "" of one that begins a trace."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    resource: dict[str, Any]


class _Server:
    """An HTTP server in a thread; a context manager that can be stopped and started again on its port. tls: speaks
    that, as localhost. headers: of every request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.headers: list[dict[str, str]] = []
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"  # a connection that is kept would outlive `stop`

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, answer = outer.post(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self._tls is None else f"https://localhost:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Receiver(_Server):
    """spans: all that came, in order. paths: where to. away: answers 503, as a receiver behind a proxy that is gone."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.spans: list[SpanSeen] = []
        self.paths: set[str] = set()
        self.away = False

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self.away:
            return 503, b""
        self.paths.add(path)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            about = _read(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [
                    SpanSeen(
                        s.name, s.kind, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), s.status.code == 2,
                        _read(s.attributes), tuple((x.trace_id.hex(), x.span_id.hex()) for x in s.links), about,
                    )
                    for s in scope.spans
                ]  # fmt: skip
        return 200, ExportTraceServiceResponse().SerializeToString()

    def named(self, name: str, trace_id: str | None = None) -> list[SpanSeen]:
        """In the order in which they ended up here."""
        return [s for s in list(self.spans) if s.name == name and trace_id in (None, s.trace_id)]


class Endpoint(_Server):
    """An agency's webhook. answers: statuses to give first; then 200."""

    def __init__(self, answers: Iterable[int] = ()) -> None:
        super().__init__()
        self._answers = list(answers)
        self.taken = 0

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        status = self._answers.pop(0) if self._answers else 200
        self.taken += status == 200
        return status, b""


def _read(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind is not None else None
    return found
