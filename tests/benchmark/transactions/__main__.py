"""aiokafka with a transactional id a partition, kafka-python 3 with group metadata, and what lies between (ADR 12).

Every way reads events of 12 partitions and writes a conflict and a state for each, and one progress a transaction and
partition. The ways take turns, in processes of their own, on one broker, as often as `rounds` says; medians. Other
work on the machine disturbs all of them alike, so the shares are worth more than the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import uuid
from collections import defaultdict

from deploy.devstack.stack import checkout_root
from deploy.devstack.supervisor import ephemeral
from tests.benchmark.report import Report, console, percentile
from tests.benchmark.transactions.common import WAYS, Task
from tests.benchmark.transactions.disturb import disturb
from tests.benchmark.transactions.rig import Feeder, Reader, Worker, broker_cpu_s, fill, until
from tests.support.kafka import fresh_topics

SIZES = (20, 500, 2000)
_BACKLOG = 240_000
_WARM = 100
"""Events after which latency is measured: connections are there, and every lane has had a first transaction."""
Figures = defaultdict[tuple[str, str, str], list[float]]
"""(way, metric, unit) -> a value a round."""


def _group() -> str:
    return f"g-{uuid.uuid4().hex[:8]}"


async def throughput(bootstrap: str, stack: str, seconds: float, figures: Figures) -> None:
    fresh_topics(bootstrap)
    await fill(bootstrap, _BACKLOG)
    for size in SIZES:
        for way in WAYS:
            before = broker_cpu_s(stack)
            worker = await Worker.start(Task(way, bootstrap, _group(), size, seconds))
            await worker.hears("done", seconds=seconds + 40)
            done = await worker.finish()
            broker = broker_cpu_s(stack) - before
            events = done["inputs"]
            figures[way, f"throughput_{size}", "events/s"].append(events / done["seconds"])
            figures[way, f"cpu_{size}", "us/event"].append(1e6 * done["cpu_s"] / events)
            figures[way, f"broker_cpu_{size}", "us/event"].append(1e6 * broker / events)
            console.print(f"{way} {size}: {events / done['seconds']:,.0f} events/s", style="dim")


async def latency(way: str, bootstrap: str, seconds: float, figures: Figures) -> None:
    fresh_topics(bootstrap)
    feeder, reader = Feeder(bootstrap), Reader(bootstrap)
    reading = asyncio.create_task(reader.run())
    worker = await Worker.start(Task(way, bootstrap, _group(), 500))
    feeding = asyncio.create_task(feeder.run())
    await until(lambda: len(reader.seen) >= _WARM, 30)
    warm = len(feeder.sent)
    await asyncio.sleep(seconds)  # the time for which is measured
    feeder.stop()
    await feeding
    await until(lambda: reader.seen.keys() >= feeder.sent.keys(), 30)
    done = await worker.finish()
    reader.stop()
    await reading
    waits = [1000 * (reader.seen[name][0] - feeder.sent[name][0]) for name in list(feeder.sent)[warm:]]
    inside = [1000 * took for took in done["transactions"][_WARM:]]
    for q, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        figures[way, f"event_to_reader_{label}", "ms"].append(percentile(waits, q))
        figures[way, f"transaction_{label}", "ms"].append(percentile(inside, q))
    figures[way, "cpu_at_100_a_second", "us/event"].append(1e6 * done["cpu_s"] / done["inputs"])
    console.print(f"{way}: p50 {percentile(waits, 0.5):.1f} ms, p99 {percentile(waits, 0.99):.1f} ms", style="dim")


async def killed(bootstrap: str, figures: Figures, timeout_ms: int, ways: tuple[str, ...]) -> None:
    for way in ways:
        outcome = await disturb(way, bootstrap, word="hang", pause=False, timeout_ms=timeout_ms)
        figures[way, f"killed_own_wait_timeout_{timeout_ms // 1000}s", "s"].append(outcome.own_wait)
        figures[way, f"killed_others_wait_timeout_{timeout_ms // 1000}s", "s"].append(outcome.others_wait)
        figures[way, "killed_missing_or_repeated", "events"].append(outcome.missing + outcome.repeated)
        console.print(f"{way}, killed: {outcome}", style="dim")


async def zombies(bootstrap: str, figures: Figures) -> None:
    cases = [(WAYS[0], "hang", 60_000), (WAYS[1], "hang", 60_000), (WAYS[1], "hang-after-offsets", 60_000)]
    cases.append((WAYS[1], "hang-after-offsets", 5_000))
    for way, word, timeout_ms in cases:
        outcome = await disturb(way, bootstrap, word=word, pause=True, timeout_ms=timeout_ms)
        case = f"zombie_{word.replace('-', '_')}_timeout_{timeout_ms // 1000}s"
        figures[way, f"{case}_could_commit", "of 1"].append(float(outcome.zombie == "accepted"))
        figures[way, f"{case}_repeated", "events"].append(outcome.repeated)
        figures[way, f"{case}_missing", "events"].append(outcome.missing)
        figures[way, f"{case}_own_wait", "s"].append(outcome.own_wait)
        figures[way, f"{case}_others_wait", "s"].append(outcome.others_wait)
        console.print(f"{way}, {word}, timeout {timeout_ms} ms: {outcome}")


async def measure(bootstrap: str, stack: str, rounds: int, seconds: float) -> Figures:
    figures: Figures = defaultdict(list)
    for number in range(rounds):
        await throughput(bootstrap, stack, seconds, figures)
        for way in WAYS:
            await latency(way, bootstrap, 2 * seconds, figures)
        await killed(bootstrap, figures, 10_000, WAYS[:2])
        if number == 0:  # yes or no, and a wait that is a setting: once is enough
            await killed(bootstrap, figures, 60_000, WAYS[1:2])
            await zombies(bootstrap, figures)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    name = f"bench-{os.getpid()}"
    with ephemeral(checkout_root(), name) as stack:
        figures = asyncio.run(measure(stack.kafka_bootstrap_servers, name, options.rounds, options.seconds))
    report = Report("transactions", "Outputs, state and progress together: ways to do it")
    for (way, metric, unit), values in sorted(figures.items(), key=lambda item: item[0][1]):
        report.add(way, metric, statistics.median(values), unit, 2)
    report.publish()


if __name__ == "__main__":
    main()
