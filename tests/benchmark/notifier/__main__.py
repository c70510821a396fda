"""A backlog drained, a neighbour that hangs, a kill -9 in the middle: the notifier, and the afternoon's script.

Times are the receiver's own: from the first to the last arrival of a backlog, from the writing of a conflict version
to its arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
import uuid

import asyncpg

from tests.benchmark.notifier.rig import AGENCIES, Rig, conflict, rig, send
from tests.benchmark.peers import peer_python
from tests.benchmark.report import Report, percentile

FAST = "/fast"


def _rate(arrivals: list[tuple[str, float]]) -> float:
    times = [at for _, at in arrivals]
    return (len(times) - 1) / (max(times) - min(times))


def backlog(bench: Rig, count: int) -> float:
    """Notices a second: the ledger holds the backlog for a paused endpoint, which is then resumed."""
    notifier = bench.notifier()
    try:
        name = bench.subscribe(notifier, AGENCIES[0], FAST)
        bench.call(notifier, AGENCIES[0], "POST", f"/v1/subscriptions/{name}/pause")
        run = uuid.uuid4().hex[:8]
        asyncio.run(bench.publish([conflict(AGENCIES[0], n, run) for n in range(count)]))
        waiting = "select count(*) from deliveries where subscription_id = $1 and status = 'pending'"
        bench.wait("the backlog", lambda: asyncio.run(bench.query(waiting, name)) >= count)
        bench.reset()
        bench.call(notifier, AGENCIES[0], "POST", f"/v1/subscriptions/{name}/resume")
        bench.wait("the drain", lambda: bench.count(FAST) >= count)
        return _rate(bench.arrivals(FAST))
    finally:
        notifier.terminate()


def bare(bench: Rig, count: int) -> float:
    """Notices a second of bare aiohttp, the same number of bytes each."""
    bench.reset()
    command = ["-m", "tests.benchmark.notifier.bare", f"{bench.receiver.url}{FAST}", str(count), "1100"]
    subprocess.run([sys.executable, *command], check=True)
    return _rate(bench.arrivals(FAST))


def script(bench: Rig, targets: dict[str, str]) -> subprocess.Popen[bytes]:
    """The afternoon's script, from the end of what is there on."""
    environment = {
        **bench.group.environment(bench.settings),
        "TARGETS": ",".join(f"{agency}={bench.receiver.url}{path}" for agency, path in targets.items()),
        "GROUP": f"afternoon-{uuid.uuid4().hex[:8]}",
    }
    return subprocess.Popen([peer_python(), "-m", "tests.benchmark.notifier.afternoon"], env=environment)


def script_backlog(bench: Rig, count: int) -> float:
    """Notices a second of the script: it reads the whole topic, so what arrives within 15 s is what is counted."""
    bench.reset()
    process = script(bench, dict.fromkeys(AGENCIES, FAST))
    try:
        bench.wait("the script", lambda: bench.count(FAST) > 0)
        until = time.monotonic() + 15
        bench.wait("the script", lambda: bench.count(FAST) >= count or time.monotonic() > until, 60)
        return _rate(bench.arrivals(FAST))
    finally:
        process.kill()
        process.wait()


async def _paced(bench: Rig, per_s: float, seconds: float) -> dict[str, float]:
    """Both agencies get `per_s` conflicts a second; conflict id -> when the first agency's was written."""
    run = uuid.uuid4().hex[:8]
    written: dict[str, float] = {}
    async with bench.producer() as producer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
            for agency in AGENCIES:
                c = conflict(agency, number, run)
                if agency == AGENCIES[0]:
                    written[c.conflict_id] = time.time()
                await send(producer, c)
    return written


def isolation(bench: Rig, hang_s: float, seconds: float) -> float:
    """The first agency's p95 in ms, from writing to arrival, while the second's endpoint hangs on every request."""
    notifier = bench.notifier()
    try:
        bench.subscribe(notifier, AGENCIES[0], FAST)
        bench.subscribe(notifier, AGENCIES[1], f"/hang/{hang_s:g}" if hang_s else "/other")
        asyncio.run(_paced(bench, 20, 3))  # connections made, statements prepared
        bench.wait("the warm-up", lambda: bench.count(FAST) >= 60)
        bench.reset()
        written = asyncio.run(_paced(bench, 50, seconds))
        bench.wait("the first agency's notices", lambda: bench.count(FAST) >= len(written))
        of_notice = {
            row["notice_id"]: row["conflict_id"]
            for row in asyncio.run(_rows(bench, "select notice_id, conflict_id from notices"))
        }
        ages = [at - written[of_notice[name]] for name, at in bench.arrivals(FAST) if of_notice.get(name) in written]
        return 1000 * percentile(ages, 0.95)
    finally:
        notifier.kill()
        asyncio.run(_forget(bench))


def script_isolation(bench: Rig, hang_s: float, seconds: float) -> float:
    """The share of the first agency's notices that the script delivers while the second's endpoint hangs."""
    bench.reset()
    process = script(bench, {AGENCIES[0]: FAST, AGENCIES[1]: f"/hang/{hang_s:g}"})
    try:
        written = asyncio.run(_paced(bench, 50, seconds))
        # It begins with what the topic has held before; only what was written now counts.
        return len({name.partition(".")[0] for name, _ in bench.arrivals(FAST)} & written.keys()) / len(written)
    finally:
        process.kill()
        process.wait()


async def _rows(bench: Rig, sql: str) -> list[dict[str, str]]:
    connection = await asyncpg.connect(bench.stack.database_url)
    try:
        return [dict(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def _forget(bench: Rig) -> None:
    """Empty the ledger, so that what one measurement left behind is no load on the next."""
    await bench.query("truncate outbox, attempts, deliveries, notices, subscriptions")


def crash(bench: Rig, count: int) -> tuple[int, int, int, int]:
    """(lost, repeated, repeated that the ledger does not know, in flight at the kill)."""
    quick = {"SALLYPORT_WEBHOOK_DEADLINE_S": "2", "SALLYPORT_LEASE_MARGIN_S": "1"}
    notifier = bench.notifier(**quick)
    name = bench.subscribe(notifier, AGENCIES[0], FAST)
    bench.reset()
    run = uuid.uuid4().hex[:8]
    publishing = [conflict(AGENCIES[0], n, run) for n in range(count)]
    asyncio.run(bench.publish(publishing))
    bench.wait("the middle", lambda: bench.count(FAST) >= count // 3)
    notifier.kill()
    flying = "select count(*) from deliveries where subscription_id = $1 and claim_id is not null"
    in_flight = int(asyncio.run(bench.query(flying, name)))
    again = bench.notifier(**quick)
    try:
        open_ = "select count(*) from deliveries where subscription_id = $1 and status = 'delivered'"
        bench.wait("all", lambda: asyncio.run(bench.query(open_, name)) >= count)
        arrived = [name for name, _ in bench.arrivals(FAST)]
        interrupted = {
            row["notice_id"]
            for row in asyncio.run(
                _rows(
                    bench,
                    "select notice_id from attempts join deliveries using (delivery_id) where outcome = 'interrupted'",
                )
            )
        }
        unique = set(arrived)
        twice = [name for name in unique if arrived.count(name) > 1] if len(arrived) > len(unique) else []
        return count - len(unique), len(arrived) - len(unique), len(set(twice) - interrupted), in_flight
    finally:
        again.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of one isolation run")
    options = parser.parse_args()
    report = Report(
        "notifier",
        "Notifier: a backlog to one fast receiver; a neighbour that hangs; kill -9",
        {
            "notifier_ratio": ">= 0.25 of bare_aiohttp",
            "isolation_10s_p95_ratio": "<= 1.25",
            "isolation_60s_p95_ratio": "<= 1.25",
            "crash_lost": "0",
            "crash_repeated": "<= in flight",
        },
    )
    with rig() as bench:
        ours, ceiling = [], []
        for _ in range(options.rounds):
            ours.append(backlog(bench, options.backlog))
            ceiling.append(bare(bench, options.backlog))
        theirs = script_backlog(bench, options.backlog)
        asyncio.run(_forget(bench))
        lost, repeated, unknown, in_flight = crash(bench, options.backlog // 2)
        asyncio.run(_forget(bench))
        p95: dict[float, list[float]] = {0.0: [], 10.0: [], 60.0: []}
        for _ in range(options.rounds):
            for hang_s, values in p95.items():
                values.append(isolation(bench, hang_s, options.seconds))
        script_share = script_isolation(bench, 10, options.seconds)
    report.add(
        "sallyport",
        "notifier_ratio",
        statistics.median(a / b for a, b in zip(ours, ceiling, strict=True)),
        "of bare_aiohttp",
    )
    report.add("sallyport", "notices_per_s", statistics.median(ours), "1/s")
    report.add("bare_aiohttp", "notices_per_s", statistics.median(ceiling), "1/s")
    report.add("afternoon_script", "notices_per_s", theirs, "1/s")
    for hang_s in (10.0, 60.0):
        ratios = [a / b for a, b in zip(p95[hang_s], p95[0.0], strict=True)]
        report.add("sallyport", f"isolation_{hang_s:g}s_p95_ratio", statistics.median(ratios), "of no hang")
        report.add("sallyport", f"isolation_{hang_s:g}s_p95_ms", statistics.median(p95[hang_s]), "ms")
    report.add("sallyport", "isolation_none_p95_ms", statistics.median(p95[0.0]), "ms")
    report.add("afternoon_script", "isolation_10s_delivered_share", script_share, "of 1")
    report.add("sallyport", "crash_lost", lost, "notices")
    report.add("sallyport", "crash_repeated", repeated, "notices")
    report.add("sallyport", "crash_repeated_not_in_ledger", unknown, "notices")
    report.add("sallyport", "crash_in_flight", in_flight, "notices")
    report.publish()


if __name__ == "__main__":
    main()
