"""Backlog through the matcher, through Quix Streams' join, and through a bare aiokafka read-write loop.

How it is timed: the backlog is there before a system starts, and every system writes with the time of writing. Its
rate is the number of records between its first and its last output, over the time between the two; start-up and
restore are told apart. All on the same broker, one after the other, in turn, as often as `rounds` says; medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from tests.benchmark.matcher.load import PEER_LEFT, PEER_RIGHT, produce
from tests.benchmark.peers import peer_python
from tests.benchmark.report import Report
from tests.support.kafka import fresh_topics

PEER_OUT, CEILING_OUT = "bench.joined", "bench.ceiling"
PARTITIONS = 12


async def _ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        return dict(await consumer.end_offsets([TopicPartition(topic, p) for p in range(PARTITIONS)]))
    finally:
        await consumer.stop()


async def _written(bootstrap: str, topic: str, since: dict[TopicPartition, int]) -> tuple[int, float, float]:
    """(records, first, last) of what was committed to `topic` since those offsets; times in seconds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", fetch_max_wait_ms=50)
    await consumer.start()
    count, first, last = 0, float("inf"), 0.0
    try:
        consumer.assign(list(since))
        for tp, offset in since.items():
            consumer.seek(tp, offset)
        ends = await consumer.end_offsets(list(since))
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                count += len(records)
                first = min(first, records[0].timestamp / 1000)
                last = max(last, records[-1].timestamp / 1000)
            if all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                return count, first, last
    finally:
        await consumer.stop()


def sallyport(stack: StackInfo, events: int, directory: Path) -> tuple[float, float]:
    """(events a second, seconds from start to ready with the book of detainers read)."""
    bootstrap = stack.kafka_bootstrap_servers
    since = asyncio.run(_ends(bootstrap, "custody.state.v1"))
    with ProcessGroup(directory) as group:
        matcher = group.service(
            "matcher", {**stack.environ(), "SALLYPORT_BREAKER_AT_LEAST": "1000000"}
        )  # everybody leaves
        began = time.monotonic()
        matcher.start()
        matcher.wait_ready(120)
        ready = time.monotonic() - began
        _wait(lambda: _judged(matcher) >= events, "the matcher")
    _, first, last = asyncio.run(_written(bootstrap, "custody.state.v1", since))
    return events / (last - first), ready


def _judged(matcher: ServiceProcess) -> float:
    """Custody events judged so far, by the service's own count."""
    _, text = matcher.get("/metrics")
    for line in text.splitlines():
        if line.startswith('sallyport_matcher_inputs_total{kind="custody"}'):
            return float(line.split()[-1])
    return 0.0


def quix(stack: StackInfo, events: int, hits: int, directory: Path) -> float:
    """Events a second of the peer."""
    bootstrap = stack.kafka_bootstrap_servers
    since = asyncio.run(_ends(bootstrap, PEER_OUT))
    script = Path(__file__).with_name("quix_join.py")
    with (directory / "quix.log").open("ab") as log:
        process = subprocess.Popen(
            [peer_python(), str(script), bootstrap, PEER_LEFT, PEER_RIGHT, PEER_OUT, uuid.uuid4().hex[:8]],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        try:
            # Its join may meet an event before the detainer that it would match, so some hits may never come.
            _wait_still(lambda: asyncio.run(_written(bootstrap, PEER_OUT, since))[0], hits)
        finally:
            process.terminate()
            process.wait(30)
    _, first, last = asyncio.run(_written(bootstrap, PEER_OUT, since))
    return events / (last - first)


async def ceiling(bootstrap: str, events: int) -> float:
    """Events a second of a loop that reads the topic and writes each record on, in transactions, doing nothing."""
    consumer = AIOKafkaConsumer(
        "custody.events.v1", bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"ceiling-{uuid.uuid4().hex[:8]}", max_batch_size=512 * 1024
    )
    await consumer.start()
    await producer.start()
    done, began = 0, time.monotonic()
    try:
        while done < events:
            batches = await consumer.getmany(timeout_ms=200, max_records=4000)
            if not batches:
                continue
            async with producer.transaction():
                for records in batches.values():
                    for record in records:
                        await producer.send(CEILING_OUT, key=record.key, value=record.value)
                    done += len(records)
        return done / (time.monotonic() - began)
    finally:
        await producer.stop()
        await consumer.stop()


def _wait(done: Callable[[], bool], who: str, seconds: float = 300) -> None:
    if not wait_until(done, seconds=seconds, every_s=0.5):
        raise TimeoutError(f"{who} did not finish within {seconds:g} s")


def _wait_still(count: Callable[[], int], wanted: int, still_s: float = 15.0) -> None:
    """Until `wanted` are there, or nothing more has come for `still_s` seconds after the first."""
    seen, since = 0, time.monotonic()

    def done() -> bool:
        nonlocal seen, since
        now = count()
        if now != seen:
            seen, since = now, time.monotonic()
        return now >= wanted or (now > 0 and time.monotonic() - since > still_s)

    _wait(done, "the peer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--detainers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"sallyport": [], "quix": [], "ceiling": []}
    readies: list[float] = []
    with ephemeral(checkout_root(), f"bench-{os.getpid()}") as stack, tempfile.TemporaryDirectory() as scratch:
        bootstrap = stack.kafka_bootstrap_servers
        for _ in range(options.rounds):
            extra = dict.fromkeys([PEER_LEFT, PEER_RIGHT, PEER_OUT, CEILING_OUT], PARTITIONS)
            fresh_topics(bootstrap, extra)
            hits = asyncio.run(produce(bootstrap, options.detainers, options.events))
            rate, ready = sallyport(stack, options.events, Path(scratch))
            rates["sallyport"].append(rate)
            readies.append(ready)
            rates["quix"].append(quix(stack, options.events, hits, Path(scratch)))
            rates["ceiling"].append(asyncio.run(ceiling(bootstrap, options.events)))
    report = Report(
        "matcher", "Matcher: a backlog of custody events, 95 % strangers", {"matcher_ratio": ">= 0.5 of quix"}
    )
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = [ours / peer for ours, peer in zip(rates["sallyport"], rates["quix"], strict=True)]
    report.add("sallyport", "matcher_ratio", statistics.median(ratios), "of quix")
    report.add("sallyport", "events_per_s", medians["sallyport"], "1/s")
    report.add("sallyport", "ready_s", statistics.median(readies), "s")
    report.add("quix_join_asof", "events_per_s", medians["quix"], "1/s")
    report.add("aiokafka_read_write", "events_per_s", medians["ceiling"], "1/s")
    report.publish()


if __name__ == "__main__":
    main()
