"""`make demo`: the whole path for real, on a Kafka, a PostgreSQL and three services of its own.

From the environment:
    DEMO_EVENTS    custody events of the stream, strangers included (3000)
    DEMO_RATE      events a second (100)
    DEMO_SEED      of the people and their stories (1)
    DEMO_DISORDER  share of events that come late (0.1)
    DEMO_STRANGERS share of events that are of people on whom no detainer is lodged (0.7)
    DEMO_EXIT=1    end at the tables; otherwise the system stays up until Ctrl-C
    ROSTERS=DIR    replay the roster files of DIR instead (New York City's format)

Exit status 1: something was missing or extra. Nothing is left running, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.types.person import Person
from deploy.demo import hartford, report, rosters
from deploy.demo.access import ApiError
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.processes import NotReady, interruptible, run_directory
from deploy.demo.sender import NotTaken
from deploy.demo.system import System
from deploy.demo.world.generate import World, generate
from deploy.demo.world.people import Link
from deploy.demo.world.places import PLACES
from deploy.devstack.errors import DevStackError
from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral

__all__ = ["main", "progress_bar"]

_SETTLE_S = 90.0


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


async def _stories(console: Console, play: Play, world: World, rate: float) -> bool:
    told = await hartford.play_hartford(play, world.population)
    console.print(hartford.table(told))
    play.expected += world.expected
    with progress_bar(console) as bars:
        lodging = bars.add_task("detainers lodged", total=len(world.lodged))
        await play.lodge(world.lodged)
        bars.update(lodging, completed=len(world.lodged))
        sending = bars.add_task("events and commands", total=len(world.stream))
        await play.stream(world.stream, rate, lambda done: bars.update(sending, completed=done))
        pairs = sum(1 for e in play.expected if e.is_told or e.is_asked)
        waiting = bars.add_task("as the script says", total=pairs)
        verdict = await play.settle(_SETTLE_S, lambda v: bars.update(waiting, completed=max(0, pairs - len(v.missing))))
    report.show(
        console,
        play.sender.sent,
        verdict,
        play.latencies(verdict),
        commands_first=len(world.lodged),
        repeated=world.repeated,
    )
    return verdict.holds and all(one.step.stage is None or one.conflict is not None for one in told)


def _stay(console: Console, system: System, directory: Path, someone: Person) -> None:
    """Until Ctrl-C or SIGTERM. someone: whom to search for, as an example."""
    agency = system.agencies[0]
    console.print(f"\n[bold]Up for a look[/bold] (logs: {directory})")
    for service in system.services:
        console.print(f"  {service.name:<9} {service.url}/livez  /readyz  /metrics", highlight=False)
    console.print(f"  {'outside':<9} {system.outside.url}/arrivals", highlight=False)
    key, url = system.agency_key(agency.code), f"{system.notifier.url}/v1/notices?limit=3"
    console.print(f"  notices of {agency.name}:", highlight=False)
    console.print(f"    curl -H 'Authorization: Bearer {key}' '{url}'", highlight=False, soft_wrap=True)
    asked = directory / "somebody.json"
    asked.write_bytes(msgspec.json.encode(someone))
    console.print("  who somebody is, although the name is misspelt:", highlight=False)
    console.print(
        f"    SALLYPORT_IDENTITY_SEARCH_TOKEN={system.search_token} {Path(sys.executable).parent}/sallyport identity "
        f"search {asked} --url {system.matcher.url}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"  Kafka {system.stack.kafka_bootstrap_servers}", highlight=False)
    console.print("Ctrl-C stops everything.")
    threading.Event().wait()


def _run(console: Console, stack: StackInfo, directory: Path, stay: bool) -> bool:
    def say(text: str) -> None:
        console.print(f"[dim]{text} …[/dim]", highlight=False)

    if folder := os.environ.get("ROSTERS"):
        made = rosters.prepare(Path(folder), int(os.environ.get("DEMO_SEED", "1")))
        with (
            System(stack, directory, made=made.credentials, agencies=made.offices, say=say) as system,
            Observer(stack.kafka_bootstrap_servers) as observer,
        ):
            holds = asyncio.run(rosters.replay(console, Play(system, observer), made))
            if stay:
                _stay(console, system, directory, made.someone)
            return holds
    world = generate(
        int(os.environ.get("DEMO_SEED", "1")),
        int(os.environ.get("DEMO_EVENTS", "3000")),
        detained_share=1 - float(os.environ.get("DEMO_STRANGERS", "0.7")),
        disorder=float(os.environ.get("DEMO_DISORDER", "0.1")),
    )
    with System(stack, directory, say=say) as system, Observer(stack.kafka_bootstrap_servers) as observer:
        holds = asyncio.run(_stories(console, Play(system, observer), world, float(os.environ.get("DEMO_RATE", "100"))))
        if stay:
            population = world.population
            _stay(console, system, directory, population.wanted(population.everyone[0], Link.MISSPELT, PLACES[0]))
        return holds


def main() -> int:
    """Exit status: 0 right, 1 something missing or extra, 2 it could not be run, 130 interrupted."""
    interruptible()
    console = Console(width=None if sys.stdout.isatty() else 110)
    directory = run_directory("demo")
    stay = os.environ.get("DEMO_EXIT", "") not in ("1", "true")
    holds = False
    try:
        console.print("[dim]Kafka and PostgreSQL …[/dim]")
        with ephemeral(
            checkout_root(), f"demo-{os.getpid()}", say=lambda text: console.print(f"[dim]{text} …[/dim]")
        ) as stack:
            holds = _run(console, stack, directory, stay)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130 if not holds else 0
    except (DevStackError, NotReady, ApiError) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False, soft_wrap=True)
        return 2
    except NotTaken as error:
        console.print(f"[red]not taken[/red]: {error}", highlight=False, soft_wrap=True)
        return 1
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
