"""100 bookings a second of people under a detainer: from before the POST to ingest to the webhook's arrival.

All three services, Kafka, PostgreSQL, the sender and the receiver share the machine. Beside it, what merely forwarding
costs: the afternoon's script, fed with conflict versions at the same rate, from writing to arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import uvloop

from contracts.ids import conflict_id, detainer_id, episode_id, notice_id
from contracts.types.registry import Facility, RegistryRecord, Source
from deploy.demo.processes import ServiceProcess
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.benchmark.matcher.load import draw_person
from tests.benchmark.notifier.__main__ import script
from tests.benchmark.notifier.rig import AGENCIES, Rig, conflict, rig, send
from tests.benchmark.report import Report, percentile
from tests.support.plain import plain

AGENCY, FACILITY, SOURCE, FAST = AGENCIES[0], "BENCHJAIL", "bench-jms", "/fast"


def _person(number: int, run: str) -> dict[str, Any]:
    """The same person in the detainer and in the booking; no two of a run are alike, so that each has one conflict."""
    person: dict[str, Any] = msgspec.to_builtins(draw_person(random.Random(f"{run}{number}"), number))
    person["identifiers"][0]["value"] = f"{run}{number:06}"
    return person


async def _lodge(ingest: ServiceProcess, key: str, count: int, run: str) -> None:
    now = datetime.now(UTC) - timedelta(minutes=5)
    commands = [
        {
            "action": "lodge",
            "agency": AGENCY,
            "agency_reference": f"{run}-{number}",
            "occurred_at": now.isoformat(),
            "type": "in_state_warrant",
            "intent": "HOLD",
            "person": _person(number, run),
        }
        for number in range(count)
    ]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for first in range(0, count, 100):
            async with session.post(f"{ingest.url}/v1/detainers", json=commands[first : first + 100]) as answer:
                if answer.status != 202:
                    raise RuntimeError(f"detainers: {answer.status} {await answer.text()}")


async def _send(ingest: ServiceProcess, key: str, count: int, run: str, per_s: float) -> dict[str, float]:
    """Conflict id -> when the event's POST began."""
    sent: dict[str, float] = {}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(number: int) -> None:
            booking = f"{run}-{number}"
            now = datetime.now(UTC).isoformat()
            body = msgspec.json.encode(
                {
                    "specversion": "1.0",
                    "id": f"{run}-{number}",
                    "source": SOURCE,
                    "type": "sallyport.custody.booked.v1",
                    "time": now,
                    "datacontenttype": "application/json",
                    "data": {
                        "kind": "booked",
                        "facility": FACILITY,
                        "booking_number": booking,
                        "occurred_at": now,
                        "person": _person(number, run),
                    },
                }
            )
            sent[conflict_id(detainer_id(AGENCY, booking), episode_id(FACILITY, booking))] = time.time()
            async with session.post(f"{ingest.url}/v1/events", data=body) as answer:
                if answer.status != 202:
                    raise RuntimeError(f"event: {answer.status} {await answer.text()}")

        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
                tasks.create_task(post(number))
    return sent


def sallyport(bench: Rig, per_s: float, seconds: float) -> list[float]:
    """Ages in ms of every notice, after a warm-up of 5 s."""
    jail_key = new_key()
    records: list[RegistryRecord] = [
        Facility(id=FACILITY, name="Bench Jail", state="CT", time_zone="America/New_York"),
        Source(id=SOURCE, key_sha256=[hash_key(jail_key)], facilities=[FACILITY]),
    ]
    bootstrap = bench.stack.kafka_bootstrap_servers
    asyncio.run(publish(plain(bootstrap), records))
    ingest = bench.group.service("ingest", bench.settings)
    matcher = bench.group.service("matcher", bench.settings)
    for service in (ingest, matcher):
        service.start()
    notifier = bench.notifier()
    for service in (ingest, matcher):
        service.wait_ready()
    try:
        bench.subscribe(notifier, AGENCY, FAST)
        ages: list[float] = []
        for length in (5.0, seconds):
            run, count = uuid.uuid4().hex[:6], int(length * per_s)
            bench.reset()
            uvloop.run(_lodge(ingest, bench.keys[AGENCY], count, run))
            sent = uvloop.run(_send(ingest, jail_key, count, run, per_s))
            bench.wait("every notice", lambda count=count: bench.count(FAST) >= count, 60)
            ages = _ages(bench, sent)
        return ages
    finally:
        for service in (ingest, matcher, notifier):
            service.terminate()


def _ages(bench: Rig, sent: dict[str, float]) -> list[float]:
    of_notice = {notice_id(conflict, 1, AGENCY): at for conflict, at in sent.items()}
    return [1000 * (at - of_notice[name]) for name, at in bench.arrivals(FAST) if name in of_notice]


async def _forward(bench: Rig, per_s: float, seconds: float) -> dict[str, float]:
    run = uuid.uuid4().hex[:6]
    written: dict[str, float] = {}
    async with bench.producer() as producer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
            c = conflict(AGENCY, number, run)
            written[f"{c.conflict_id}.{c.version}"] = time.time()
            await send(producer, c)
    return written


def forwarding(bench: Rig, per_s: float, seconds: float) -> list[float]:
    """Ages in ms of what the afternoon's script merely forwards."""
    bench.reset()
    process = script(bench, dict.fromkeys(AGENCIES, FAST))
    try:
        asyncio.run(_forward(bench, per_s, 2))
        bench.wait("the script", lambda: bench.count(FAST) >= 2 * per_s)
        written = asyncio.run(_forward(bench, per_s, seconds))
        bench.wait("the script", lambda: written.keys() <= {name for name, _ in bench.arrivals(FAST)})
        return [1000 * (at - written[name]) for name, at in bench.arrivals(FAST) if name in written]
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    wanted = {
        "event_to_webhook_p50_ms": "<= 25",
        "event_to_webhook_p95_ms": "<= 50",
        "event_to_webhook_p99_ms": "<= 75",
    }
    report = Report("event_to_webhook", f"Event to webhook at {options.per_second:g} events/s", wanted)
    with rig() as bench:
        for system, ages in (
            ("sallyport", sallyport(bench, options.per_second, options.seconds)),
            ("afternoon_script_forwarding", forwarding(bench, options.per_second, min(10.0, options.seconds))),
        ):
            for q in (0.5, 0.95, 0.99):
                report.add(system, f"event_to_webhook_p{q * 100:.0f}_ms", percentile(ages, q), "ms")
            report.add(system, "notices", len(ages), "1")
    report.publish()


if __name__ == "__main__":
    main()
