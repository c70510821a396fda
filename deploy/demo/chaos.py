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
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from deploy.demo import report
from deploy.demo.__main__ import progress_bar
from deploy.demo.judge import Verdict
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.processes import ServiceProcess, interruptible, run_directory
from deploy.demo.system import System, call
from deploy.demo.world.generate import World, generate
from deploy.devstack.stack import checkout_root
from deploy.devstack.supervisor import ephemeral

__all__ = ["ANSWER_AFTER_S", "FAST", "Chaos", "Kill", "ledger_of_repeats", "play_with_kills"]

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
class Kill:
    """share: of the stream that was sent when it was killed."""

    share: float
    service: str


@dataclass
class Chaos:
    """What a run did and showed. unrecorded: notice ids that came more often than the ledger has attempts."""

    kills: list[Kill] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    unrecorded: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.verdict.holds and not self.unrecorded


def schedule(services: Sequence[str], times_each: int, rng: random.Random) -> list[Kill]:
    """Each service in turn, at moments spread over the stream, none in the very first or last of it."""
    count = times_each * len(services)
    width = 0.9 / count
    return [
        Kill(0.05 + width * (index + rng.uniform(0.1, 0.9)), services[index % len(services)]) for index in range(count)
    ]


async def play_with_kills(
    play: Play,
    world: World,
    *,
    per_second: float,
    times_each: int,
    settle_s: float,
    console: Console | None = None,
) -> Chaos:
    """Play `world`; kill each service `times_each` times meanwhile and start it again at once."""
    rng = random.Random(world.seed)  # noqa: S311 - moments, not secrets
    system = play.system
    services = {service.name: service for service in system.services}
    left = schedule(list(services), times_each, rng)
    chaos = Chaos()
    due = asyncio.Event()
    sent = 0
    play.expected += world.expected

    def progress(done: int) -> None:
        nonlocal sent
        sent = done
        due.set()

    async def killer() -> None:
        while left:
            await due.wait()
            due.clear()
            while left and sent / len(world.stream) >= left[0].share:
                kill = left.pop(0)
                _restart(services[kill.service])
                chaos.kills.append(kill)

    await play.lodge(world.lodged)
    killing = asyncio.create_task(killer())
    if console is not None:
        with progress_bar(console) as bars:
            sending = bars.add_task("events, under kill -9", total=len(world.stream))

            def shown(done: int) -> None:
                progress(done)
                bars.update(sending, completed=done)

            await play.stream(world.stream, per_second, shown)
    else:
        await play.stream(world.stream, per_second, progress)
    await killing
    chaos.verdict = await play.settle(settle_s)
    chaos.unrecorded = await asyncio.to_thread(ledger_of_repeats, system, chaos.verdict)
    return chaos


def _restart(service: ServiceProcess) -> None:
    """kill -9 and start again. From the main thread: the kernel ties the process to the thread that started it."""
    service.kill()
    service.start()


def ledger_of_repeats(system: System, verdict: Verdict) -> list[str]:
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
    for service in play.system.services:
        table.add_row(f"{service.name} killed", str(sum(1 for kill in chaos.kills if kill.service == service.name)))
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
        chaos = asyncio.run(
            play_with_kills(play, world, per_second=given.rate, times_each=given.kills, settle_s=180, console=console)
        )
        _show(console, play, world, chaos)
    return 0 if chaos.holds else 1


if __name__ == "__main__":
    sys.exit(main())
