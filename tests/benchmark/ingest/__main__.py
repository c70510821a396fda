"""Events over HTTP: singly over 64 connections, and in batches of 100.

Single events are compared with the same server that only reads the body and produces it (`bare_server.py`), batches
with an aiokafka producer that writes the same events without any HTTP. In turn, `rounds` times; medians of the
pairwise ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer

from contracts.types.registry import Agency, AgencyCategory, Facility, RegistryRecord, Source
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.benchmark.httpload import Outcome, load, request
from tests.benchmark.report import Report, percentile
from tests.support.kafka import fresh_topics
from tests.support.plain import plain

FACILITY, SOURCE = "BENCHJAIL", "bench-jms"
START = datetime(2026, 1, 1, tzinfo=UTC)
CONNECTIONS = 64
BATCH = 100
BARE, RAW = "bench.bare", "bench.raw"


def event(number: int, run: str) -> dict[str, Any]:
    """A structured CloudEvent of some 650 bytes."""
    return {
        "specversion": "1.0",
        "id": f"{run}-{number}",
        "source": SOURCE,
        "type": "sallyport.custody.booked.v1",
        "time": (START + timedelta(seconds=number)).isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "kind": "booked",
            "facility": FACILITY,
            "booking_number": f"{run}-{number}",
            "occurred_at": (START + timedelta(seconds=number)).isoformat(),
            "sequence": number,
            "person": {
                "names": [
                    {"surname": f"Thistlewick{number}", "given": "Perrin", "middle": "Aldous"},
                    {"surname": "Thornquill", "given": "Perry", "kind": "alias"},
                ],
                "birth_dates": ["1979-11-23"],
                "sex": "M",
                "identifiers": [{"kind": "sid", "value": f"CT{number:08}", "issuer": "CT"}],
            },
            "charges": [{"code": "53a-122", "description": "LARCENY 1ST DEGREE"}],
        },
    }


def bodies(count: int, run: str) -> Iterator[bytes]:
    return (msgspec.json.encode(event(number, run)) for number in range(count))


def batches(count: int, run: str) -> Iterator[bytes]:
    for first in range(0, count, BATCH):
        yield msgspec.json.encode([event(number, run) for number in range(first, first + BATCH)])


def post(server: ServiceProcess, sent: list[bytes], key: str, media: str) -> Outcome:
    headers = {"Content-Type": media, "Authorization": f"Bearer {key}"}
    outcome = load(server.port, [request("/v1/events", body, headers) for body in sent], CONNECTIONS)
    if set(outcome.statuses) != {202}:
        raise RuntimeError(f"{server.name} answered {dict(outcome.statuses)}")
    return outcome


async def _raw(bootstrap: str, sent: list[bytes]) -> float:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        began = time.perf_counter()
        waiting = [await producer.send(RAW, value=body) for body in sent]
        await asyncio.gather(*waiting)
        return time.perf_counter() - began
    finally:
        await producer.stop()


def registry(stack: StackInfo) -> str:
    """Publish a facility and a source for it; the source's API key."""
    key = new_key()
    records: list[RegistryRecord] = [
        Agency(id="BENCHAGCY", name="Bench Sheriff", category=AgencyCategory.SHERIFF),
        Facility(id=FACILITY, name="Bench Jail", state="CT", time_zone="America/New_York"),
        Source(id=SOURCE, key_sha256=[hash_key(key)], facilities=[FACILITY], agency="BENCHAGCY"),
    ]
    asyncio.run(publish(plain(stack.kafka_bootstrap_servers), records))
    return key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=30_000, help="events sent singly in a round")
    parser.add_argument("--batched", type=int, default=100_000, help="events sent in batches in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"single": [], "bare": [], "batch": [], "raw": []}
    latencies: list[float] = []
    with ephemeral(checkout_root(), f"bench-{os.getpid()}") as stack, tempfile.TemporaryDirectory() as scratch:
        fresh_topics(stack.kafka_bootstrap_servers, {BARE: 12, RAW: 12})
        key = registry(stack)
        with ProcessGroup(Path(scratch)) as group:
            ingest = group.service("ingest", stack.environ())
            bare = group.program("bare", ["-m", "tests.benchmark.ingest.bare_server"], stack.environ())
            for server in (ingest, bare):
                server.start()
                server.wait_ready()
            for round_number in range(options.rounds + 1):
                run = uuid.uuid4().hex[:8]
                single = list(bodies(options.single if round_number else 2000, run))
                batched = list(batches(options.batched if round_number else 5000, run + "b"))
                plain = list(bodies(options.batched if round_number else 5000, run))
                taken = post(ingest, single, key, "application/cloudevents+json")
                bare_taken = post(bare, single, key, "application/cloudevents+json")
                batch_taken = post(ingest, batched, key, "application/cloudevents-batch+json")
                raw_s = uvloop.run(_raw(stack.kafka_bootstrap_servers, plain))
                if round_number == 0:
                    continue  # warms up the broker's JIT and every cache
                latencies += taken.latencies_s
                rates["single"].append(len(single) / taken.seconds)
                rates["bare"].append(len(single) / bare_taken.seconds)
                rates["batch"].append(options.batched / batch_taken.seconds)
                rates["raw"].append(options.batched / raw_s)
    wanted = {"ingest_single_ratio": ">= 0.5 of bare_server", "ingest_batch_ratio": ">= 0.3 of raw_aiokafka"}
    report = Report("ingest", "Ingest: events over HTTP, 64 connections", wanted)

    def ratio(ours: str, theirs: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True))

    report.add("sallyport", "ingest_single_ratio", ratio("single", "bare"), "of bare_server")
    report.add("sallyport", "ingest_batch_ratio", ratio("batch", "raw"), "of raw_aiokafka")
    report.add("sallyport", "single_events_per_s", statistics.median(rates["single"]), "1/s")
    report.add("sallyport", "single_p50_ms", 1000 * percentile(latencies, 0.5), "ms")
    report.add("sallyport", "single_p99_ms", 1000 * percentile(latencies, 0.99), "ms")
    report.add("sallyport", "batched_events_per_s", statistics.median(rates["batch"]), "1/s")
    report.add("bare_server", "single_events_per_s", statistics.median(rates["bare"]), "1/s")
    report.add("raw_aiokafka", "batched_events_per_s", statistics.median(rates["raw"]), "1/s")
    report.publish()


if __name__ == "__main__":
    main()
