"""What traces cost: a span by itself, and ingest's processor time for an event, with no endpoint and with one.

Ingest runs three times side by side (no endpoint; every trace; a tenth of them), once more with --before, an older
checkout, and takes the same load in turn. Counted is its processor time, which says more than the rate on a machine
that others use too; medians of the pairwise ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from contracts.cloudevents import Attributes, encode_headers
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform import tracing
from services.platform.tracing import Kind
from tests.benchmark.ingest.__main__ import BATCH, START, batches, bodies, post, registry
from tests.benchmark.report import Report
from tests.support.kafka import fresh_topics

SINGLE, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
SENT = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01"
ABOUT = {"messaging.system": "kafka", "messaging.destination.name": "custody.events.v1", "sallyport.kind": "custody"}
_COUNT = 20_000


class _Sink(BaseHTTPRequestHandler):
    """A receiver that takes everything and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def span_us() -> float:
    """Microseconds of processor time for a span, its export included where there is one."""
    began = time.process_time()
    for _ in range(_COUNT // 1000):
        for _ in range(1000):
            span = tracing.begin("process custody.events.v1", Kind.CONSUMER, SENT, ABOUT)
            span.note({"sallyport.stage": "released"})
            span.end()
        time.sleep(0.1)  # as it comes, and not as much at once as the queue has room for
    spent = time.process_time() - began
    return spent / _COUNT * 1e6


def headers_us(traceparent: str | None) -> float:
    """The same for the headers of a record."""
    attributes = Attributes("event-1", "jail-1", "sallyport.custody.booked.v1", START, START)
    began = time.process_time()
    for _ in range(_COUNT):
        encode_headers(attributes, traceparent)
    return (time.process_time() - began) / _COUNT * 1e6


def cpu_s(process: ServiceProcess) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="events sent singly in a round")
    parser.add_argument("--batched", type=int, default=40_000, help="events sent in batches of 100 in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", default="", help="an older checkout to compare with")
    options = parser.parse_args()
    report = Report("traces", "Traces: what they cost")
    sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{sink.server_port}"

    for name, endpoint in (("off", ""), ("on", url)):
        tracing.set_up("bench", "bench", endpoint, 1.0)
        report.add(name, "span_us", span_us(), "µs of processor time, receiver in the same process")
        tracing.shut_down(10)
    report.add("off", "headers_us", headers_us(None), "µs")
    report.add("on", "headers_us", headers_us(SENT), "µs")

    with ephemeral(checkout_root(), f"bench-{os.getpid()}") as stack, tempfile.TemporaryDirectory() as scratch:
        fresh_topics(stack.kafka_bootstrap_servers)
        key = registry(stack)
        with ProcessGroup(Path(scratch)) as group:
            servers = {
                "off": group.service("ingest", stack.environ(), name="off"),
                "on": group.service("ingest", {**stack.environ(), "SALLYPORT_OTLP_ENDPOINT": url}, name="on"),
                "tenth": group.service(
                    "ingest",
                    {**stack.environ(), "SALLYPORT_OTLP_ENDPOINT": url, "SALLYPORT_TRACE_SAMPLE_RATIO": "0.1"},
                    name="tenth",
                ),
            }
            if options.before:
                servers["before"] = group.service(
                    "ingest", {**stack.environ(), "PYTHONPATH": options.before}, name="before"
                )
            for server in servers.values():
                server.start()
                server.wait_ready()
            spent: dict[tuple[str, str], list[float]] = {}
            for number in range(options.rounds + 1):
                order = list(servers.items())
                for name, server in order if number % 2 else reversed(order):
                    run = uuid.uuid4().hex[:8]
                    single = list(bodies(options.events if number else 1000, run))
                    batched = list(batches(options.batched if number else 2000, run + "b"))
                    for media, sent, events in (
                        (SINGLE, single, len(single)),
                        (BATCHED, batched, len(batched) * BATCH),
                    ):
                        before = cpu_s(server)
                        post(server, sent, key, media)
                        if number:  # the first round warms up
                            spent.setdefault((name, media), []).append((cpu_s(server) - before) / events * 1e6)
            for media, metric in ((SINGLE, "single"), (BATCHED, "batched")):
                base = spent["before" if options.before else "off", media]
                for name in servers:
                    mine = spent[name, media]
                    report.add(name, f"{metric}_cpu_us", statistics.median(mine), "µs of ingest for an event", 1)
                    ratio = statistics.median(a / b for a, b in zip(mine, base, strict=True))
                    report.add(name, f"{metric}_ratio", ratio, f"of {'before' if options.before else 'off'}", 3)
    sink.shutdown()
    report.publish()


if __name__ == "__main__":
    main()
