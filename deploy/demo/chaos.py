"""kill -9 of each service in turn while a world is played: nothing may be lost, nothing said twice.

`python -m deploy.demo.chaos --events 20000` prints what was lost, which conflict versions are extra, and how often a
webhook came twice, with whether the notifier's ledger knows of it. Exit status 1: something was lost, extra, or came
more often than the ledger says.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console
from rich.table import Table

from deploy.demo import report
from deploy.demo.__main__ import progress_bar
from deploy.demo.access import Access, call
from deploy.demo.judge import Verdict
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.processes import ServiceProcess, interruptible, run_directory
from deploy.demo.system import System
from deploy.demo.world.generate import World, generate
from deploy.devstack.stack import checkout_root
from deploy.devstack.supervisor import ephemeral

__all__ = ["ANSWER_AFTER_S", "FAST", "Chaos", "Trouble", "kills", "ledger_of_repeats", "play_in_trouble"]

FAST = {
    "SALLYPORT_SESSION_TIMEOUT_MS": "6000",
    "SALLYPORT_FENCED_RETRY_S": "2",
    "SALLYPORT_PROGRESS_FLUSH_S": "1",
    "SALLYPORT_WEBHOOK_DEADLINE_S": "4",
    "SALLYPORT_SMTP_DEADLINE_S": "4",
    "SALLYPORT_LEASE_MARGIN_S": "2",
}
"""So that partitions, and deliveries under way, come back in seconds after a kill -9: that is what a run waits for."""
ANSWER_AFTER_S = 0.3
"""Endpoints that answer at once have nothing under way when the notifier is killed; these have, so that webhooks are
repeated, and the ledger has something to account for."""


@dataclass(frozen=True)
class Trouble:
    """share: of the stream that was sent when it is made. what: for people. make: returns when it is over."""

    share: float
    what: str
    make: Callable[[], Awaitable[None]]


@dataclass
class Chaos:
    """What a run did and showed. made: what of each trouble. unrecorded: notice ids that came more often than the
    ledger has attempts."""

    made: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    unrecorded: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.verdict.holds and not self.unrecorded


def kills(services: Sequence[ServiceProcess], times_each: int, rng: random.Random) -> list[Trouble]:
    """Each service in turn, at moments spread over the stream, none in the very first or last of it."""
    count = times_each * len(services)
    width = 0.9 / count
    return [
        Trouble(
            0.05 + width * (index + rng.uniform(0.1, 0.9)),
            f"{services[index % len(services)].name} killed",
            partial(_restart, services[index % len(services)]),
        )
        for index in range(count)
    ]


async def _restart(service: ServiceProcess) -> None:
    """kill -9, start again and wait until it is ready: else the next kill meets a process that is not there yet.

    Started from the main thread: the kernel ties the process to the thread that started it."""
    service.kill()
    service.start()
    await asyncio.to_thread(service.wait_ready)


async def play_in_trouble(
    play: Play,
    world: World,
    troubles: Sequence[Trouble],
    *,
    per_second: float,
    settle_s: float,
    console: Console | None = None,
) -> Chaos:
    """Play `world`, and make each trouble when its share of the stream is sent, one after the other."""
    left = list(troubles)
    chaos = Chaos()
    due = asyncio.Event()
    sent = 0
    play.expected += world.expected

    def progress(done: int) -> None:
        nonlocal sent
        sent = done
        due.set()

    async def maker() -> None:
        while left:
            await due.wait()
            due.clear()
            while left and sent / len(world.stream) >= left[0].share:
                trouble = left.pop(0)
                await trouble.make()
                chaos.made[trouble.what] += 1

    await play.lodge(world.lodged)
    making = asyncio.create_task(maker())
    if console is not None:
        with progress_bar(console) as bars:
            sending = bars.add_task("events, in trouble", total=len(world.stream))

            def shown(done: int) -> None:
                progress(done)
                bars.update(sending, completed=done)

            await play.stream(world.stream, per_second, shown)
    else:
        await play.stream(world.stream, per_second, progress)
    await making
    chaos.verdict = await play.settle(settle_s)
    chaos.unrecorded = await asyncio.to_thread(ledger_of_repeats, play.system, chaos.verdict)
    return chaos


def ledger_of_repeats(system: Access, verdict: Verdict) -> list[str]:
    """The notices whose webhook came more often than the ledger has attempts for it (G4)."""
    unrecorded: list[str] = []
    for name, repeats in verdict.repeats.items():
        url = f"{system.notifier.url}/v1/notices/{name}"
        view = call("GET", url, system.agency_key(verdict.repeated_to[name]))
        attempts = sum(len(d["attempts"]) for d in view["deliveries"] if d["channel"] == "webhook")
        if attempts < repeats + 1:
            unrecorded.append(name)
    return unrecorded


def _show(console: Console, play: Play, world: World, chaos: Chaos) -> None:
    verdict = chaos.verdict
    report.show(
        console,
        play.sender.sent,
        verdict,
        play.latencies(verdict),
        commands_first=len(world.lodged),
        repeated=world.repeated,
    )
    table = Table(title="kill -9", title_justify="left", show_header=False)
    table.add_column(min_width=34)
    table.add_column(justify="right")
    for what, times in chaos.made.items():
        table.add_row(what, str(times))
    table.add_row("requests sent again by the senders", f"{play.sender.sent.again:,}")
    table.add_row("lost", str(len(verdict.missing)))
    table.add_row("extra (conflict versions, reviews, notices)", str(len(verdict.extra)))
    repeats = sum(verdict.repeats.values())
    table.add_row("webhooks that came again", f"{repeats:,}")
    table.add_row("  of notices whose ledger does not have them all", str(len(chaos.unrecorded)))
    console.print(table)


def main() -> int:
    """Exit status: 0 nothing lost, extra or unrecorded, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.chaos", description="kill -9 of each service in turn.")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--kills", type=int, default=4, help="of each service")
    parser.add_argument("--seed", type=int, default=9)
    given = parser.parse_args()
    interruptible()
    console = Console(width=None if sys.stdout.isatty() else 110)
    directory = run_directory("chaos")
    world = generate(given.seed, given.events)
    with (
        ephemeral(checkout_root(), f"chaos-{os.getpid()}") as stack,
        System(stack, directory, settings=FAST, answer_after_s=ANSWER_AFTER_S) as system,
        Observer(stack.kafka_bootstrap_servers) as observer,
    ):
        play = Play(system, observer, sender_deadline_s=120)
        troubles = kills(system.services, given.kills, random.Random(given.seed))  # noqa: S311 - moments, not secrets
        chaos = asyncio.run(
            play_in_trouble(play, world, troubles, per_second=given.rate, settle_s=180, console=console)
        )
        _show(console, play, world, chaos)
    return 0 if chaos.holds else 1


if __name__ == "__main__":
    sys.exit(main())
