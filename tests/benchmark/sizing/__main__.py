"""What a detainer, an episode, an event and a notice cost: memory, processor time, bytes on Kafka and in PostgreSQL.

Everything goes the whole way, through the services as processes: detainers and events over HTTP, notices to a receiver.
Processor times are those of the processes, so that other work on the machine changes them little; memory is resident
memory before and after. Then the sizes of 10, 100 and 1,000 facilities, computed (model.py).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import psutil
from kafka.admin import KafkaAdminClient
from rich.console import Console
from rich.table import Table

from contracts.types.registry import Facility, RegistryRecord, Source
from deploy.demo.processes import ServiceProcess
from services.platform.operator.reading import read_to_end
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.benchmark.matcher.load import draw_person
from tests.benchmark.notifier.rig import AGENCIES, Rig, rig
from tests.benchmark.report import Report
from tests.benchmark.sizing.model import Assumed, Costs, Need, need
from tests.support.plain import plain

AGENCY, SOURCE, FAST = AGENCIES[0], "bench-jms", "/fast"
FACILITIES = [f"BENCHJL{n:02}" for n in range(40)]
HITS = 0.05
_TOPICS = ("custody.events.v1", "custody.state.v1", "conflicts.v1", "detainers.v1", "notices.v1")


@dataclass
class Load:
    """What is sent. people: of detainers, whom some of the bookings are of."""

    rng: random.Random
    detainers: int
    stays: int
    start: datetime

    def commands(self) -> Iterator[dict[str, Any]]:
        for number in range(self.detainers):
            yield {
                "action": "lodge",
                "agency": AGENCY,
                "agency_reference": f"SIZE-{number}",
                "occurred_at": self.start.isoformat(),
                "type": "in_state_warrant",
                "intent": "HOLD",
                "person": self._person(number),
            }

    def booked(self) -> Iterator[dict[str, Any]]:
        for stay in range(self.stays):
            known = self.rng.random() < HITS
            number = self.rng.randrange(self.detainers) if known else self.detainers + stay
            yield self._event(stay, "booked", 1, person=self._person(number), charges=[{"code": "53a-122"}])

    def later(self, kind: str, day: int, **fields: Any) -> Iterator[dict[str, Any]]:
        return (self._event(stay, kind, day, **fields) for stay in range(self.stays))

    def _event(self, stay: int, kind: str, day: int, **fields: Any) -> dict[str, Any]:
        at = (self.start + timedelta(days=day, seconds=stay)).isoformat()
        return {
            "specversion": "1.0",
            "id": f"{stay}-{kind}",
            "source": SOURCE,
            "type": f"sallyport.custody.{kind}.v1",
            "time": at,
            "datacontenttype": "application/json",
            "data": {
                "kind": kind,
                "facility": FACILITIES[stay % len(FACILITIES)],
                "booking_number": f"2026-{stay:07}",
                "occurred_at": at,
                **fields,
            },
        }

    @staticmethod
    def _person(number: int) -> Any:
        return msgspec.to_builtins(draw_person(random.Random(number), number))


async def _post(url: str, key: str, media: str, items: Iterator[dict[str, Any]], size: int) -> int:
    """Send in batches; how many."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": media}
    sent = 0
    async with aiohttp.ClientSession(headers=headers) as session:
        batch: list[dict[str, Any]] = []
        for item in [*items, None]:
            if item is not None:
                batch.append(item)
            if batch and (item is None or len(batch) == size):
                async with session.post(url, data=msgspec.json.encode(batch)) as answer:
                    if answer.status != 202:
                        raise RuntimeError(f"{answer.status} {await answer.text()}")
                sent += len(batch)
                batch = []
    return sent


def metric(service: ServiceProcess, name: str) -> float:
    """The sum over all labels of a metric, by the name before its labels."""
    _, text = service.get("/metrics", timeout_s=30)
    lines = (line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def judged(matcher: ServiceProcess) -> float:
    _, text = matcher.get("/metrics", timeout_s=30)
    found = [x for x in text.splitlines() if x.startswith('sallyport_matcher_inputs_total{kind="custody"}')]
    return float(found[0].split()[-1]) if found else 0.0


def memory(service: ServiceProcess) -> int:
    """Resident bytes."""
    return int(psutil.Process(service.pid).memory_info().rss)


def cpu(service: ServiceProcess) -> float:
    """Processor seconds so far."""
    times = psutil.Process(service.pid).cpu_times()
    return float(times.user + times.system)


def topic_bytes(bootstrap: str, topics: Sequence[str]) -> dict[str, int]:
    """Bytes of each topic's segments on the one broker there is."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    found = dict.fromkeys(topics, 0)
    try:
        for answer in client.describe_log_dirs():
            for directory in answer["log_dirs"]:
                for topic in directory["topics"]:
                    if topic["name"] in found:
                        found[topic["name"]] += sum(p["partition_size"] for p in topic["partitions"])
    finally:
        client.close()
    return found


def measure(bench: Rig, load: Load) -> Costs:
    bootstrap = bench.stack.kafka_bootstrap_servers
    jail = new_key()
    records: list[RegistryRecord] = [
        *(Facility(id=f, name=f, state="CT", time_zone="America/New_York") for f in FACILITIES),
        Source(id=SOURCE, key_sha256=[hash_key(jail)], facilities=FACILITIES),
    ]
    asyncio.run(publish(plain(bootstrap), records))
    quiet = {**bench.settings, "SALLYPORT_BREAKER_AT_LEAST": "1000000", "SALLYPORT_PROBE_INTERVAL_S": "1"}
    ingest, matcher = bench.group.service("ingest", quiet), bench.group.service("matcher", quiet)
    for service in (ingest, matcher):
        service.start()
    notifier = bench.notifier()
    for service in (ingest, matcher):
        service.wait_ready()
    bench.subscribe(notifier, AGENCY, FAST)

    ingest_base, matcher_base, start_cpu = memory(ingest), memory(matcher), cpu(matcher)
    url, key = f"{ingest.url}/v1/detainers", bench.keys[AGENCY]
    asyncio.run(_post(url, key, "application/json", load.commands(), 500))
    wait = bench.wait
    wait("every detainer", lambda: metric(matcher, "sallyport_matcher_detainers") >= load.detainers, 600)
    ingest_full = memory(ingest)
    matcher.terminate()  # as after a deployment: the index is built at once, from what is on the topic
    matcher.start()
    matcher.wait_ready(300)
    read_cpu, matcher_full = cpu(matcher), memory(matcher)

    url, media = f"{ingest.url}/v1/events", "application/cloudevents-batch+json"
    ingest_cpu, matcher_cpu, notifier_cpu = cpu(ingest), cpu(matcher), cpu(notifier)
    sent = 0
    day = load.start + timedelta(days=20)
    for items in (
        load.booked(),
        load.later("updated", 3, charges=[{"code": "53a-123"}]),
        load.later("release_scheduled", 10, scheduled_for=day.isoformat(), reason="bond"),
        load.later("released", 20, reason="bond"),
    ):
        sent += asyncio.run(_post(url, jail, media, items, 500))
        wait("every event", lambda sent=sent: judged(matcher) >= sent, 900)
    ingest_cpu, matcher_cpu = cpu(ingest) - ingest_cpu, cpu(matcher) - matcher_cpu
    pending = "select count(*) from deliveries where status = 'pending'"
    notices = "select count(*) from notices"
    versions = metric(matcher, "sallyport_matcher_conflicts_total")
    wait("every notice", lambda: asyncio.run(bench.query(notices)) >= versions, 300)
    wait("every delivery", lambda: asyncio.run(bench.query(pending)) == 0, 300)
    told = asyncio.run(bench.query(notices))
    notifier_cpu = cpu(notifier) - notifier_cpu
    matcher_loaded = memory(matcher)
    sizes = _still(lambda: topic_bytes(bootstrap, _TOPICS))
    live = asyncio.run(_live_state(bootstrap))
    ledger = sum(
        asyncio.run(bench.query("select pg_total_relation_size($1::text::regclass)", table))
        for table in ("notices", "deliveries", "attempts")
    )
    events_of_notices = asyncio.run(bench.query("select count(*) from attempts where outcome is not null"))

    matcher.terminate()
    matcher.start()
    matcher.wait_ready(300)
    restore_cpu = cpu(matcher) - read_cpu
    held = metric(matcher, "sallyport_matcher_episodes")
    after_restart = memory(matcher)
    for service in (ingest, matcher, notifier):
        service.terminate()
    mib = 2**20
    return Costs(
        event_bytes=sizes["custody.events.v1"] / sent,
        state_bytes_per_event=sizes["custody.state.v1"] / sent,
        state_bytes_per_episode=live / load.stays,
        conflict_bytes=sizes["conflicts.v1"] / versions,
        detainer_bytes=sizes["detainers.v1"] / load.detainers,
        notice_event_bytes=sizes["notices.v1"] / max(1, events_of_notices),
        ledger_bytes_per_notice=ledger / told,
        ingest_base_mib=ingest_base / mib,
        ingest_bytes_per_detainer=(ingest_full - ingest_base) / load.detainers,
        matcher_base_mib=matcher_base / mib,
        matcher_bytes_per_detainer=(matcher_full - matcher_base) / load.detainers,
        matcher_bytes_per_episode=(max(matcher_loaded, after_restart) - matcher_full) / load.stays,
        ingest_s_per_event=ingest_cpu / sent,
        matcher_s_per_event=matcher_cpu / sent,
        notifier_s_per_notice=notifier_cpu / told,
        restore_s_per_episode=restore_cpu / held,
        read_s_per_detainer=(read_cpu - start_cpu) / load.detainers,
    )


def _still(look: Callable[[], dict[str, int]]) -> dict[str, int]:
    """What `look` finds, once two looks in a row agree."""
    before: dict[str, int] = {}
    while (now := look()) != before:
        before = now
        time.sleep(1.0)  # between two looks
    return now


async def _live_state(bootstrap: str) -> int:
    """Bytes of custody.state.v1 when compacted: the newest record of each key."""
    newest: dict[tuple[int, bytes | None], int] = {}
    settings = plain(bootstrap)
    for record in await read_to_end(settings, "custody.state.v1"):
        newest[record.partition, record.key] = len(record.key or b"") + len(record.value or b"") + 12
    return sum(newest.values())


def shown(needs: Sequence[Need]) -> Table:
    table = Table("computed, for facilities", *(f"{n.facilities:,}" for n in needs))
    for name in list(asdict(needs[0]))[1:]:
        values = [float(getattr(n, name)) for n in needs]
        table.add_row(name, *(f"{value:,.3g}" if value < 1e3 else f"{value:,.0f}" for value in values))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detainers", type=int, default=100_000)
    parser.add_argument("--stays", type=int, default=30_000)
    options = parser.parse_args()
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
    with rig() as bench:
        costs = measure(bench, Load(random.Random(5), options.detainers, options.stays, start))
    report = Report("sizing", "What a unit costs, of one replica and of one core")
    for name, value in asdict(costs).items():
        unit = "MiB" if name.endswith("_mib") else "s" if "_s_per_" in name else "bytes"
        report.add("sallyport", name, value, unit, 7)
    report.publish()
    matchers = {10: 2, 100: 2, 1000: 3}
    Console().print(shown([need(n, costs, Assumed(), m) for n, m in matchers.items()]))


if __name__ == "__main__":
    main()
